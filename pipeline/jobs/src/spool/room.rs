//! Room in the spool: so many bytes, which the files of a run never exceed together.
//!
//! Pieces of work take room before they write, and give it back when their files are gone. Who finds none waits for
//! the others. When all of them wait, nobody would ever come to an end: then the last one gives way, which means that it
//! throws away what it has and begins again once it can have all the room for itself.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Mutex as Entrance, Notify};

use crate::{Error, Interrupt, Kind};

/// The room of a run.
#[derive(Debug)]
pub(super) struct Room {
    /// In bytes.
    limit: u64,
    state: Mutex<State>,
    /// Something was given back, or somebody has given up.
    changed: Notify,
    /// Those who wait to come in, in their order.
    entrance: Entrance<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that are taken, but for those of residents.
    taken: u64,
    /// Bytes that stay taken for as long as the run lives.
    resident: u64,
    /// Pieces of work that are inside.
    inside: usize,
    /// Those of them that wait for more room.
    waiting: usize,
}

/// There is no room for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    limit: u64,
    /// Bytes that the piece of work has.
    used: u64,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Full { limit, used } = self;
        write!(f, "{used} bytes of it lie in the spool, and more would not stay within --spool-size, {limit} bytes")
    }
}

impl std::error::Error for Full {}

impl Full {
    /// As the end of an operation.
    pub(crate) fn error(self, operation: impl fmt::Display) -> Error {
        let message = format!("cannot {operation}: {self}");
        Error::new(Kind::Failed, message).hint("give a larger --spool-size, or none")
    }
}

impl Room {
    /// Without a limit everything has room.
    pub(super) fn new(limit: Option<u64>) -> Arc<Room> {
        let (state, changed, entrance) = (Mutex::default(), Notify::new(), Entrance::new(()));
        Arc::new(Room { limit: limit.unwrap_or(u64::MAX), state, changed, entrance })
    }

    /// Waits until so many bytes are free, or all, and takes them. Those who are inside come first.
    pub(super) async fn enter(self: &Arc<Room>, bytes: u64) -> Allotment {
        let _turn = self.entrance.lock().await;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = lock(&self.state);
                let limit = self.limit - state.resident;
                let held = bytes.min(limit);
                if state.waiting == 0 && state.taken.checked_add(held).is_some_and(|taken| taken <= limit) {
                    state.taken += held;
                    state.inside += 1;
                    let sums = Mutex::new(Sums { held, ..Sums::default() });
                    return Allotment { room: Arc::clone(self), sums };
                }
            }
            changed.await;
        }
    }
}

impl Room {
    /// Takes room for what stays as long as the run; nobody is waited for.
    pub(super) fn reside(&self, bytes: u64) -> Result<(), Full> {
        let mut state = lock(&self.state);
        let used = state.resident;
        let total = used.saturating_add(state.taken).saturating_add(bytes);
        if total > self.limit {
            return Err(Full { limit: self.limit, used });
        }
        state.resident += bytes;
        Ok(())
    }
}

/// What one piece of work has of the room; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Allotment {
    room: Arc<Room>,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    /// Bytes that it has taken of the room.
    held: u64,
    /// Bytes of its files.
    used: u64,
    /// Its threads that wait.
    waiting: usize,
    /// There was no room, and there were others who have some.
    gave_way: bool,
    /// There was no room.
    full: bool,
}

impl Allotment {
    /// Takes room for so many bytes, and waits for it.
    pub(super) async fn take(&self, bytes: u64) -> Result<(), Full> {
        let mut waits = None;
        loop {
            let mut changed = std::pin::pin!(self.room.changed.notified());
            changed.as_mut().enable();
            match self.try_take(bytes) {
                Some(taken) => return taken,
                None if waits.is_none() => {
                    waits = Some(Waiting::new(self));
                    // With this one perhaps all of them wait.
                    continue;
                }
                None => changed.await,
            }
        }
    }

    /// The same in a blocking thread, unless it is asked to end.
    pub(super) fn take_blocking(&self, bytes: u64, interrupt: &Interrupt) -> io::Result<()> {
        if let Some(taken) = self.try_take(bytes) {
            return taken.map_err(io::Error::other);
        }
        Handle::current().block_on(async {
            tokio::select! {
                () = interrupt.requested() => Err(io::Error::other("interrupted")),
                taken = self.take(bytes) => taken.map_err(io::Error::other),
            }
        })
    }

    /// `None` when it is to be waited for.
    fn try_take(&self, bytes: u64) -> Option<Result<(), Full>> {
        let (mut state, mut sums) = (lock(&self.room.state), lock(&self.sums));
        let limit = self.room.limit - state.resident;
        let missing = (sums.used + bytes).saturating_sub(sums.held);
        if !sums.full && state.taken.checked_add(missing).is_some_and(|taken| taken <= limit) {
            state.taken += missing;
            sums.held += missing;
            sums.used += bytes;
            return Some(Ok(()));
        }
        if !sums.full {
            let (others, waits) = (state.inside - 1, usize::from(sums.waiting > 0));
            if others > state.waiting - waits {
                return None;
            }
            sums.full = true;
            sums.gave_way = others > 0;
            // The others need not give way too, since it leaves.
            state.waiting -= waits;
            // Another thread of the same work waits in vain.
            self.room.changed.notify_waiters();
        }
        Some(Err(Full { limit: self.room.limit, used: sums.used }))
    }

    /// Gives room back for other files, those of the same piece of work too.
    pub(super) fn give_back(&self, bytes: u64) {
        let (mut state, mut sums) = (lock(&self.room.state), lock(&self.sums));
        let bytes = bytes.min(sums.used);
        sums.used -= bytes;
        sums.held -= bytes;
        state.taken -= bytes;
        self.room.changed.notify_waiters();
    }

    /// Its files are to be written anew.
    pub(super) fn begin_again(&self) {
        lock(&self.sums).used = 0;
    }

    /// Its files are written: gives back what they do not need.
    pub(super) fn settle(&self) {
        let (mut state, mut sums) = (lock(&self.room.state), lock(&self.sums));
        state.taken -= sums.held - sums.used;
        sums.held = sums.used;
        self.room.changed.notify_waiters();
    }

    /// Whether it found no room.
    pub(super) fn is_full(&self) -> bool {
        lock(&self.sums).full
    }

    /// Whether it found no room because of others, and is to begin again.
    pub(super) fn gave_way(&self) -> bool {
        lock(&self.sums).gave_way
    }
}

impl Drop for Allotment {
    fn drop(&mut self) {
        let (mut state, sums) = (lock(&self.room.state), lock(&self.sums));
        state.taken -= sums.held;
        state.inside -= 1;
        self.room.changed.notify_waiters();
    }
}

/// Says that a piece of work waits, until it is dropped.
struct Waiting<'a>(&'a Allotment);

impl<'a> Waiting<'a> {
    fn new(allotment: &'a Allotment) -> Waiting<'a> {
        let (mut state, mut sums) = (lock(&allotment.room.state), lock(&allotment.sums));
        sums.waiting += 1;
        state.waiting += usize::from(sums.waiting == 1 && !sums.full);
        Waiting(allotment)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let (mut state, mut sums) = (lock(&self.0.room.state), lock(&self.0.sums));
        sums.waiting -= 1;
        state.waiting -= usize::from(sums.waiting == 0 && !sums.full);
        self.0.room.changed.notify_waiters();
    }
}

/// The sums are right whenever the lock is free, so a thread that panicked does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::FutureExt;
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn what_stays_is_in_nobodys_way_but_leaves_less_room() {
        let room = Room::new(Some(100));
        let one = room.enter(0).await;
        one.take(40).await.unwrap();
        room.reside(30).unwrap();
        assert_eq!(room.reside(31), Err(Full { limit: 100, used: 30 }));
        // Nobody else could give anything back.
        assert_eq!(one.take(31).await, Err(Full { limit: 100, used: 40 }));
        drop(one);
        // All that there is, for one that wants everything.
        let all = room.enter(u64::MAX).await;
        assert_eq!(lock(&room.state).taken, 70);
        assert!(all.take(70).await.is_ok() && all.take(1).await.is_err());
    }

    #[tokio::test]
    async fn who_finds_no_room_waits_until_there_is_some() {
        let room = Room::new(Some(100));
        let (one, other) = (room.enter(0).await, room.enter(0).await);
        one.take(60).await.unwrap();
        let mut waits = std::pin::pin!(other.take(50));
        assert!(poll!(&mut waits).is_pending());
        one.give_back(20);
        assert_eq!(poll!(&mut waits), Poll::Ready(Ok(())));
        assert_eq!(lock(&room.state).taken, 90);
        drop(one);
        other.give_back(50);
        assert_eq!(lock(&room.state).taken, 0);
    }

    #[tokio::test]
    async fn of_those_who_all_wait_the_last_gives_way() {
        let room = Room::new(Some(100));
        let (one, other) = (room.enter(0).await, room.enter(0).await);
        one.take(50).await.unwrap();
        other.take(50).await.unwrap();
        let mut waits = Box::pin(one.take(50));
        assert!(poll!(&mut waits).is_pending());
        assert_eq!(other.take(1).await.unwrap_err(), Full { limit: 100, used: 50 });
        assert!(other.gave_way() && !one.gave_way());
        // It comes in again when it can have everything, and not before those who are inside.
        drop(other);
        let mut again = std::pin::pin!(room.enter(u64::MAX));
        assert!(poll!(&mut again).is_pending());
        assert_eq!(poll!(&mut waits), Poll::Ready(Ok(())));
        assert!(poll!(&mut again).is_pending());
        one.give_back(100);
        let other = again.await;
        other.take(100).await.unwrap();
        drop(waits);
        drop(one);
        assert!(other.take(1).await.is_err() && !other.gave_way(), "nobody else has any room");
    }

    #[tokio::test]
    async fn one_that_is_alone_is_told_what_it_has() {
        let room = Room::new(Some(100));
        let one = room.enter(40).await;
        one.take(100).await.unwrap();
        let error = one.take(1).await.unwrap_err().error("take a snapshot");
        assert_eq!(
            error.to_string(),
            "cannot take a snapshot: 100 bytes of it lie in the spool, and more would not stay within --spool-size, 100 bytes"
        );
        assert!(error.hint_text().unwrap().contains("--spool-size"));
    }

    #[tokio::test]
    async fn what_was_asked_for_too_much_is_given_back_when_the_files_are_written() {
        let room = Room::new(Some(100));
        let one = room.enter(90).await;
        one.take(30).await.unwrap();
        one.begin_again();
        one.take(40).await.unwrap();
        let mut waits = std::pin::pin!(room.enter(50));
        assert!(poll!(&mut waits).is_pending());
        one.settle();
        assert!(waits.now_or_never().is_some());
        assert!(Room::new(None).enter(0).await.take(1 << 60).await.is_ok(), "no limit");
        let (all, room) = (Room::new(None), |room: &Arc<Room>| lock(&room.state).taken);
        let (some, much) = (all.enter(1).await, u64::MAX);
        assert!(all.enter(much).now_or_never().is_none(), "not even without a limit is there more than can be counted");
        drop(some);
        assert_eq!((drop(all.enter(much).await), room(&all)), ((), 0));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_that_want_much_come_to_their_ends_and_never_exceed_the_limit() {
        let room = Room::new(Some(1000));
        let work = (0..20_u64).map(|number| {
            let room = Arc::clone(&room);
            tokio::spawn(async move {
                let mut wanted = 0;
                'again: loop {
                    let allotment = room.enter(wanted).await;
                    for _ in 0..(100 + number * 45) {
                        if allotment.take(1).await.is_err() {
                            assert!(allotment.gave_way(), "none needs more than everything");
                            wanted = u64::MAX;
                            continue 'again;
                        }
                        assert!(lock(&allotment.room.state).taken <= 1000);
                        tokio::task::yield_now().await;
                    }
                    return;
                }
            })
        });
        for done in futures_util::future::join_all(work).await {
            done.unwrap();
        }
        assert_eq!(lock(&room.state).taken, 0);
    }
}
