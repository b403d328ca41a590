//! A terminal that is taken for a while and given back as it was, whatever happens in between: an
//! end, an error or a panic.

use std::io::stdout;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::ExecutableCommand as _;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::{Frame, Terminal};
use rustix::termios::{
    self, InputModes, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios,
};

use crate::output::{EXIT_PATIENCE, Lines, STDOUT};

/// A special character that is switched off.
const NO_CHARACTER: u8 = 0;

/// The terminal, until it is dropped.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Lines>>,
    before: Arc<SavedTerminal>,
}

/// The state to restore.
struct SavedTerminal {
    modes: Termios,
    is_taken: AtomicBool,
}

/// Whether this process may use the terminal: one in the background would be stopped.
pub(super) fn is_ours() -> bool {
    termios::tcgetpgrp(stdout()).is_ok_and(|group| group == rustix::process::getpgrp())
}

impl Screen {
    /// Takes the terminal. Ctrl-C remains a signal; other input is not echoed.
    pub(super) fn take() -> std::io::Result<Self> {
        let before = Arc::new(SavedTerminal {
            modes: termios::tcgetattr(stdout())?,
            is_taken: AtomicBool::new(true),
        });
        termios::tcsetattr(stdout(), OptionalActions::Now, &quiet(&before.modes))?;
        // From here on the guard restores what was changed.
        let screen = Self {
            terminal: Terminal::new(CrosstermBackend::new(Lines(&STDOUT)))?,
            before,
        };
        Lines(&STDOUT)
            .execute(EnterAlternateScreen)?
            .execute(Hide)?;
        screen.restore_on_panic();
        Ok(screen)
    }

    /// A panic's message belongs on the restored terminal.
    fn restore_on_panic(&self) {
        let (before, report) = (self.before.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            before.restore();
            report(panic);
        }));
    }

    /// False once a panic has given the terminal back.
    pub(super) fn is_taken(&self) -> bool {
        self.before.is_taken.load(Ordering::SeqCst)
    }

    /// Draws, unless the terminal has not shown the last picture yet: a picture holds what differs
    /// from the one before, so none of them may be lost.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> std::io::Result<()> {
        if !STDOUT.is_idle() {
            return Ok(());
        }
        self.terminal.draw(draw).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.before.restore();
    }
}

impl SavedTerminal {
    /// Restores the terminal, once. Nothing can be done about a terminal that is gone.
    fn restore(&self) {
        if !self.is_taken.swap(false, Ordering::SeqCst) {
            return;
        }
        let mut out = Lines(&STDOUT);
        let _ = out.execute(Show);
        let _ = out.execute(LeaveAlternateScreen);
        STDOUT.flush_within(EXIT_PATIENCE);
        // Input from meanwhile was meant for no program.
        let _ = termios::tcflush(stdout(), QueueSelector::IFlush);
        let _ = termios::tcsetattr(stdout(), OptionalActions::Now, &self.modes);
    }
}

/// The same without echo, without waiting for lines, and without stopping by Ctrl-Z, Ctrl-\ or
/// Ctrl-S, none of which would leave the terminal as it was.
fn quiet(modes: &Termios) -> Termios {
    let mut modes = modes.clone();
    modes.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
    modes.input_modes -= InputModes::IXON;
    for code in [SpecialCodeIndex::VSUSP, SpecialCodeIndex::VQUIT] {
        modes.special_codes[code] = NO_CHARACTER;
    }
    modes
}
