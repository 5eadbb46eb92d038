//! A bounded queue between two threads that knows how much waits in it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};
use std::time::Duration;

/// The end that is fed. Cheap to clone.
pub struct Sender<T> {
    channel: mpsc::SyncSender<T>,
    waiting: Arc<AtomicU64>,
}

/// The end that is read.
pub struct Receiver<T> {
    channel: mpsc::Receiver<T>,
    waiting: Arc<AtomicU64>,
}

/// A queue in which so many may wait.
pub fn bounded<T>(at_most: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::sync_channel(at_most);
    let waiting = Arc::new(AtomicU64::new(0));
    (Sender { channel: sender, waiting: Arc::clone(&waiting) }, Receiver { channel: receiver, waiting })
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender { channel: self.channel.clone(), waiting: Arc::clone(&self.waiting) }
    }
}

impl<T> Sender<T> {
    /// Adds one, without waiting.
    ///
    /// # Errors
    /// The queue is full, or nobody reads it any more.
    pub fn try_send(&self, one: T) -> Result<(), TrySendError<T>> {
        self.count(self.channel.try_send(one))
    }

    /// Adds one, and waits for room.
    ///
    /// # Errors
    /// Nobody reads it any more.
    pub fn send(&self, one: T) -> Result<(), SendError<T>> {
        self.count(self.channel.send(one))
    }

    /// How many wait, about: one that was just added or taken may be missing.
    pub fn waiting(&self) -> u64 {
        // Who takes one may be faster than who counts it in, so that the number can be below nought for a moment.
        self.waiting.load(Relaxed).cast_signed().max(0).cast_unsigned()
    }

    fn count<E>(&self, sent: Result<(), E>) -> Result<(), E> {
        if sent.is_ok() {
            self.waiting.fetch_add(1, Relaxed);
        }
        sent
    }
}

impl<T> Receiver<T> {
    /// Takes the oldest, and waits for one.
    ///
    /// # Errors
    /// Nobody feeds it any more.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.count(self.channel.recv())
    }

    /// Takes the oldest, and waits so long for one.
    ///
    /// # Errors
    /// There was none in time, or nobody feeds it any more.
    pub fn recv_timeout(&self, patience: Duration) -> Result<T, RecvTimeoutError> {
        self.count(self.channel.recv_timeout(patience))
    }

    /// Takes the oldest, without waiting.
    ///
    /// # Errors
    /// There is none.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.count(self.channel.try_recv())
    }

    fn count<E>(&self, received: Result<T, E>) -> Result<T, E> {
        if received.is_ok() {
            self.waiting.fetch_sub(1, Relaxed);
        }
        received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_knows_how_many_wait_in_it() {
        let (sender, receiver) = bounded(2);
        let other = sender.clone();
        sender.try_send(1).unwrap();
        other.send(2).unwrap();
        assert_eq!(sender.waiting(), 2);
        assert!(matches!(sender.try_send(3), Err(TrySendError::Full(3))));
        assert_eq!((sender.waiting(), receiver.recv()), (2, Ok(1)));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(2));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(other.waiting(), 0);
    }
}
