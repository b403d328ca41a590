//! How a run is shown while it goes on: as a view that fills a terminal, or line by line.

use gameserver_client_sim::load::{Phase, Progress};

use super::screen::{self, Screen};
use super::view::{self, Look};
use crate::commands::say;
use crate::error::CliError;
use crate::logging::{self, LogLines, Logging};
use crate::output::STDOUT;
use crate::settings::LogFormat;

/// What a person watches.
pub(super) enum Display {
    /// A line a second.
    Lines { _logging: Logging },
    /// One screen.
    View {
        /// None before it is opened.
        screen: Option<Box<Screen>>,
        log: LogLines,
        _logging: Logging,
    },
}

impl Display {
    /// Line by line, logs in between.
    pub(super) fn plain() -> Result<Self, CliError> {
        let logging = logging::start(LogFormat::Text)?;
        Ok(Self::Lines { _logging: logging })
    }

    /// As a view where there is a terminal that can show it. What is logged must not tear it, so
    /// it is kept. Nothing is taken of the terminal yet.
    pub(super) fn suited() -> Result<Self, CliError> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if is_dumb || !STDOUT.is_terminal() || !screen::is_ours() {
            return Self::plain();
        }
        let (log, logging) = logging::start_kept()?;
        Ok(Self::View {
            screen: None,
            log,
            _logging: logging,
        })
    }

    /// Takes the terminal.
    pub(super) fn open(&mut self) -> Result<(), CliError> {
        if let Self::View { screen, .. } = self {
            *screen = Some(Box::new(Screen::take().map_err(CliError::Terminal)?));
        }
        Ok(())
    }

    /// Shows how the run stands.
    pub(super) fn show(&mut self, now: &Progress<'_>) {
        let (screen, log) = match self {
            Self::View {
                screen: Some(screen),
                log,
                ..
            } if screen.is_taken() => (screen, log),
            Self::Lines { .. } | Self::View { .. } => return show_line(now),
        };
        let log = log.newest();
        let look = Look {
            standing: now,
            log: &log,
        };
        if let Err(error) = screen.draw(|frame| view::draw(frame, &look)) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the terminal cannot be drawn on"
            );
        }
    }

    /// Gives the terminal back, with what was logged.
    pub(super) fn close(&mut self) {
        if let Self::View { screen, log, .. } = self {
            drop(screen.take());
            log.take().iter().for_each(|line| say(line));
        }
    }
}

fn show_line(now: &Progress<'_>) {
    match now.phase {
        Phase::Ramp | Phase::Measuring => {
            if let Some(second) = now.report.series.last() {
                say(&second.line());
            }
        }
        Phase::Leaving => say("the bots say goodbye; press Ctrl-C again to hurry"),
        Phase::Settling => {
            let left = now.report.left_behind().unwrap_or_default();
            let at = now.elapsed.as_secs_f64();
            say(&format!(
                "{at:5.0} s  everybody gone, against before: {left}"
            ));
        }
    }
}
