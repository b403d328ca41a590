//! Moves datagrams beside the task that drives a bare QUIC connection. Each time the driver runs,
//! what waits to be sent is handed to it before, and what arrived is taken from it after.
//!
//! So whoever sends or takes datagrams touches queues only and never waits for a lock of QUIC's,
//! which a driver holds as long as it works; no task besides the driver has to run; and what is
//! sent leaves together with what the driver has to send anyway. It knows no link.

use std::cell::Cell;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};

thread_local! {
    /// Of the driver that was started last on this thread.
    static NEWEST: Cell<Option<Arc<DatagramPump>>> = const { Cell::new(None) };
}

/// tokio, with a pump for each driver.
#[derive(Debug)]
pub(crate) struct PumpedRuntime;

/// What a pump moves.
pub(crate) trait DatagramExchange: std::fmt::Debug + Send {
    /// Hands over what QUIC has room for; the rest waits, where newer state takes the place of
    /// older.
    fn send_waiting(&self);

    /// Whether something waits that QUIC has room for by now.
    fn can_send(&self) -> bool;

    /// Takes what has arrived.
    fn receive_arrived(&self);
}

/// Between a link and the driver of its connection.
#[derive(Debug, Default)]
pub(crate) struct DatagramPump {
    /// Wakes the driver's task, once that has run.
    task: OnceLock<Waker>,
    /// The driver is about to run: what wakes it now has nothing to report.
    is_sending: AtomicBool,
    /// What is moved; nothing before the link begins and after it has ended.
    exchange: Mutex<Option<Box<dyn DatagramExchange>>>,
}

/// Ends the exchange when it is dropped.
#[derive(Debug)]
pub(crate) struct AttachedExchange(Arc<DatagramPump>);

/// A connection, and the pump of its driver.
pub(crate) type PumpedConnection = (quinn::Connection, Option<Arc<DatagramPump>>);

/// A driver and its pump.
struct PumpedDriver {
    driver: Pin<Box<dyn Future<Output = ()> + Send>>,
    pump: Arc<DatagramPump>,
    /// What the driver wakes.
    waker: Waker,
}

/// Starts a connection. Returns the pump of its driver, too.
pub(crate) fn with_pump<T>(start: impl FnOnce() -> T) -> (T, Option<Arc<DatagramPump>>) {
    // Whatever another one left here.
    NEWEST.take();
    (start(), NEWEST.take())
}

impl Runtime for PumpedRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, driver: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let pump = Arc::<DatagramPump>::default();
        NEWEST.set(Some(Arc::clone(&pump)));
        tokio::spawn(PumpedDriver {
            driver,
            waker: Arc::clone(&pump).into(),
            pump,
        });
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

impl DatagramPump {
    /// Moves the datagrams of this exchange until the result is dropped.
    pub(crate) fn attach(
        self: &Arc<Self>,
        exchange: Box<dyn DatagramExchange>,
    ) -> AttachedExchange {
        *self.exchange() = Some(exchange);
        self.wake_driver();
        AttachedExchange(Arc::clone(self))
    }

    /// There is something to send.
    pub(crate) fn wake_driver(&self) {
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    fn before_driver(&self) {
        let exchange = self.exchange();
        let Some(exchange) = exchange.as_ref() else {
            return;
        };
        // Sending wakes the driver, which runs next anyway. Others who wake it now have left what
        // they want where it finds it; `wake_driver` gets through all the same.
        self.is_sending.store(true, Ordering::Release);
        exchange.send_waiting();
        self.is_sending.store(false, Ordering::Release);
    }

    fn after_driver(&self) {
        let exchange = self.exchange();
        let Some(exchange) = exchange.as_ref() else {
            return;
        };
        exchange.receive_arrived();
        if exchange.can_send() {
            self.wake_driver();
        }
    }

    fn exchange(&self) -> MutexGuard<'_, Option<Box<dyn DatagramExchange>>> {
        // A panic elsewhere cannot leave it half changed.
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for DatagramPump {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_sending.load(Ordering::Acquire) {
            self.wake_driver();
        }
    }
}

impl Drop for AttachedExchange {
    fn drop(&mut self) {
        *self.0.exchange() = None;
    }
}

impl Future for PumpedDriver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // The task is spawned as it is, so its waker never changes.
        this.pump.task.get_or_init(|| context.waker().clone());
        this.pump.before_driver();
        let done = this
            .driver
            .as_mut()
            .poll(&mut Context::from_waker(&this.waker));
        this.pump.after_driver();
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
    fn a_driver_that_is_about_to_run_is_woken_by_new_datagrams_only() {
        let (task, pump) = (Arc::<Task>::default(), Arc::<DatagramPump>::default());
        let woken = || task.0.load(Ordering::Relaxed);
        let driver = Waker::from(Arc::clone(&pump));
        driver.wake_by_ref();
        assert_eq!(woken(), 0, "it has not run yet and will");
        pump.task.get_or_init(|| Waker::from(Arc::clone(&task)));
        driver.wake_by_ref();
        assert_eq!(woken(), 1);
        pump.is_sending.store(true, Ordering::Release);
        driver.wake_by_ref();
        assert_eq!(woken(), 1);
        pump.wake_driver();
        assert_eq!(woken(), 2);
    }
}
