//! Who stands beside the task that drives a bare QUIC connection. Each time the driver runs, what
//! the link has to send is handed to it before, and what it received is taken from it after.
//!
//! So whoever sends or takes datagrams touches the link's queues only and never waits for a lock of
//! QUIC's, which a driver holds as long as it works; no task besides the driver has to run; and
//! what is sent leaves together with what the driver has to say anyway.

use std::cell::Cell;
use std::io;
use std::net::UdpSocket;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};

use crate::link::Link;

thread_local! {
    /// Of the driver that was started last on this thread.
    static NEWEST: Cell<Option<Arc<Attendant>>> = const { Cell::new(None) };
}

/// tokio, with an attendant for each driver.
#[derive(Debug)]
pub(crate) struct AttendedRuntime;

/// Between a link and its driver.
#[derive(Debug, Default)]
pub(crate) struct Attendant {
    /// Wakes the driver's task, once that has run.
    task: OnceLock<Waker>,
    /// The driver is about to run: what wakes it now has nothing to say.
    is_handing_over: AtomicBool,
    /// What is attended to; nothing before the link begins and after it has ended.
    served: Mutex<Option<Served>>,
}

#[derive(Debug)]
struct Served {
    link: Arc<Link>,
    connection: quinn::Connection,
}

/// Ends the service when it is dropped.
#[derive(Debug)]
pub(crate) struct Service(Arc<Attendant>);

/// A driver and who attends it.
struct AttendedDriver {
    driver: Pin<Box<dyn Future<Output = ()> + Send>>,
    attendant: Arc<Attendant>,
    /// What the driver is told to wake.
    waker: Waker,
}

/// Starts a connection. Returns who attends its driver, too.
pub(crate) fn attended<T>(start: impl FnOnce() -> T) -> (T, Option<Arc<Attendant>>) {
    // Whatever another one left here.
    NEWEST.take();
    (start(), NEWEST.take())
}

impl Runtime for AttendedRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, driver: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let attendant = Arc::<Attendant>::default();
        NEWEST.set(Some(Arc::clone(&attendant)));
        tokio::spawn(AttendedDriver {
            driver,
            waker: Arc::clone(&attendant).into(),
            attendant,
        });
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

impl Attendant {
    /// Moves datagrams between this link and its connection until the service is dropped.
    pub(crate) fn serve(
        self: &Arc<Self>,
        link: Arc<Link>,
        connection: quinn::Connection,
    ) -> Service {
        *self.served() = Some(Served { link, connection });
        self.call();
        Service(Arc::clone(self))
    }

    /// There is something to send.
    pub(crate) fn call(&self) {
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    fn hand_over(&self) {
        let served = self.served();
        let Some(served) = served.as_ref() else {
            return;
        };
        // Sending wakes the driver, which runs next anyway. Others who wake it now have left what
        // they want where it finds it; those who call come through all the same.
        self.is_handing_over.store(true, Ordering::Release);
        served.hand_over();
        self.is_handing_over.store(false, Ordering::Release);
    }

    fn take_over(&self) {
        let served = self.served();
        let Some(served) = served.as_ref() else {
            return;
        };
        served.take_over();
        if served.can_hand_over() {
            self.call();
        }
    }

    fn served(&self) -> MutexGuard<'_, Option<Served>> {
        // A panic elsewhere cannot leave it half changed.
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Attendant {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_handing_over.load(Ordering::Acquire) {
            self.call();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        *self.0.served() = None;
    }
}

impl Served {
    /// Hands over what QUIC has room for; the rest waits in the link, where newer state takes the
    /// place of older.
    fn hand_over(&self) {
        while self.link.outgoing_size().is_some() {
            let room = self.connection.datagram_send_buffer_space();
            let Some(payload) = self.link.try_outgoing_within(room) else {
                return;
            };
            let size = payload.len();
            match self.connection.send_datagram(payload) {
                Ok(()) => self.link.note_sent(size),
                Err(error) => self.link.not_sent(&error),
            }
        }
    }

    /// Whether something waits that QUIC has room for by now.
    fn can_hand_over(&self) -> bool {
        let waiting = self.link.outgoing_size();
        waiting.is_some_and(|size| size <= self.connection.datagram_send_buffer_space())
    }

    fn take_over(&self) {
        loop {
            let reading = pin!(self.connection.read_datagram());
            // Nobody has to be woken: the driver runs when something comes.
            match reading.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(payload)) => self.link.deliver_admitted(payload),
                Poll::Ready(Err(_)) | Poll::Pending => return,
            }
        }
    }
}

impl Future for AttendedDriver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // The task is spawned as it is, so its waker never changes.
        this.attendant.task.get_or_init(|| context.waker().clone());
        this.attendant.hand_over();
        let done = this
            .driver
            .as_mut()
            .poll(&mut Context::from_waker(&this.waker));
        this.attendant.take_over();
        done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    /// A task that counts how often it was woken.
    #[derive(Default)]
    struct Task(AtomicU32);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_driver_that_is_about_to_run_is_woken_by_those_who_call_only() {
        let (task, attendant) = (Arc::<Task>::default(), Arc::<Attendant>::default());
        let woken = || task.0.load(Ordering::Relaxed);
        let driver = Waker::from(Arc::clone(&attendant));
        driver.wake_by_ref();
        assert_eq!(woken(), 0, "it has not run yet and will");
        attendant
            .task
            .get_or_init(|| Waker::from(Arc::clone(&task)));
        driver.wake_by_ref();
        assert_eq!(woken(), 1);
        attendant.is_handing_over.store(true, Ordering::Release);
        driver.wake_by_ref();
        assert_eq!(woken(), 1);
        attendant.call();
        assert_eq!(woken(), 2);
    }
}
