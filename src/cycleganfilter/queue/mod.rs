// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ordered queue of frames and events between the streaming thread and the source pad.
//!
//! With a depth of 2 or more, each stage has its own thread: while one frame is in the generator,
//! the previous one is composited and the next one converted. With a depth of 1, the same stages
//! run one after the other on the thread that pushes, and nothing is ever queued.
//!
//! A flush begins a new epoch, and items of earlier epochs are dropped wherever they are. Bounded
//! channels connect the stages. A [`Permit`] counts each item until it is delivered or dropped.

mod permits;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle, ThreadId},
};

use gst::FlowError;

pub use permits::Permit;
use permits::{Permits, Stage};

use super::{CAT, lock};

/// Capacity of a channel: more than the frames that permits allow, 2·16 and 240 of a live pipeline, and events
/// between them. A sender waits while it is full.
const CHANNEL_ROOM: usize = 1024;

/// The stages that each item goes through, in order.
pub trait Stages: Send + Sync + 'static {
    /// An item of the queue.
    type Item: Send + 'static;

    /// Runs the generator. The item keeps an error for [`Stages::finish`] to return.
    fn infer(&self, item: &mut Self::Item);

    /// Makes the output. Items arrive in order. A failure discards later items.
    fn finish(&self, item: &mut Self::Item) -> Result<(), FlowError>;

    /// Pushes the item downstream. A failure discards later items.
    fn deliver(&self, item: Self::Item) -> Result<(), FlowError>;

    /// Whether a discarded item keeps its place in the queue until it is delivered or [`Stages::discard`]
    /// drops it. Others are dropped at once.
    fn keeps_place(&self, item: &Self::Item) -> bool;

    /// Drops an item that must not be delivered.
    fn discard(&self, item: Self::Item);

    /// Reports that a stage panicked. The item is lost.
    fn panicked(&self);
}

/// The stages and their threads. Dropping the queue drops the queued items.
pub struct Queue<S: Stages> {
    stages: Arc<S>,
    permits: Arc<Permits>,
    /// How many items may be in the generator at once.
    depth: usize,
    threads: Option<Threads<S::Item>>,
}

struct Threads<T> {
    first: SyncSender<Entry<T>>,
    /// Locked during a delivery.
    delivering: Arc<Mutex<()>>,
    handles: Vec<JoinHandle<()>>,
}

/// An item and its permit.
struct Entry<T> {
    item: T,
    permit: Permit,
}

impl<S: Stages> Queue<S> {
    /// A queue with up to `depth` items in the generator at once; starts threads if `depth` is more
    /// than 1.
    pub fn new(stages: S, depth: usize) -> io::Result<Self> {
        let (stages, permits) = (Arc::new(stages), Arc::new(Permits::default()));
        let threads = (depth > 1).then(|| Threads::start(&stages)).transpose()?;
        Ok(Self { stages, permits, depth, threads })
    }

    /// How many items may be in the generator at once.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// How many items are waiting for the generator, in it, or being finished.
    pub fn in_generator(&self) -> usize {
        self.permits.in_generator()
    }

    /// How many items are not delivered yet.
    pub fn len(&self) -> usize {
        self.permits.total()
    }

    /// Waits until fewer than `most` items are queued and, if the item `needs_generator`, until the
    /// generator has room. Fails with [`FlowError::Flushing`] during a flush, and once with each
    /// failure of an earlier item.
    pub fn reserve(&self, needs_generator: bool, most: usize) -> Result<Permit, FlowError> {
        let depth = if needs_generator { self.depth } else { usize::MAX };
        Permits::reserve(&self.permits, needs_generator, depth, most)
    }

    /// Pushes an item that does not wait for room, such as an event. Fails only during a flush.
    pub fn push_event(&self, item: S::Item) -> Result<(), FlowError> {
        self.push(Permits::admit(&self.permits), item)
    }

    /// Sends `item` to the first stage. Without threads, runs all stages.
    pub fn push(&self, mut permit: Permit, mut item: S::Item) -> Result<(), FlowError> {
        let entered = permit.enter();
        let Some(threads) = &self.threads else {
            if entered.is_err() {
                self.stages.discard(item);
                return entered;
            }
            self.stages.infer(&mut item);
            self.stages.finish(&mut item)?;
            permit.leave_generator();
            return self.stages.deliver(item);
        };
        // The threads end only after the sender is dropped. They discard an item that has not entered.
        let sent = threads.first.send(Entry { item, permit });
        entered.and(sent.map_err(|_| FlowError::Flushing))
    }

    /// Waits until every pushed item is delivered, or until a flush.
    pub fn drain(&self) {
        // A stage's thread would wait for itself forever.
        if self.threads.as_ref().is_none_or(|threads| !threads.is_own(thread::current().id())) {
            self.permits.drain();
        }
    }

    /// The last failure that no push has returned. For use at the end of the stream, when no push
    /// follows.
    pub fn take_failure(&self) -> Option<FlowError> {
        self.permits.take_failure()
    }

    /// Begins a flush: drops all items, and refuses new ones until [`Queue::resume`]. Does not
    /// wait.
    pub fn flush(&self) {
        self.permits.flush();
    }

    /// Ends a flush. Waits for a delivery in progress, so that no item from before the flush is
    /// delivered after it.
    pub fn resume(&self) {
        if let Some(threads) = &self.threads
            // The flush may come from downstream, from within the delivery.
            && !threads.is_own(thread::current().id())
        {
            drop(lock(&threads.delivering));
        }
        self.permits.resume();
    }
}

impl<S: Stages> Drop for Queue<S> {
    fn drop(&mut self) {
        self.permits.flush();
        let Some(Threads { first, handles, .. }) = self.threads.take() else { return };
        drop(first);
        let own = thread::current().id();
        // A stage may hold the last reference to the queue's owner, so this may be its thread.
        for handle in handles.into_iter().filter(|handle| handle.thread().id() != own) {
            if handle.join().is_err() {
                gst::error!(CAT, "a stage has panicked");
            }
        }
    }
}

impl<T: Send + 'static> Threads<T> {
    fn start<S: Stages<Item = T>>(stages: &Arc<S>) -> io::Result<Self> {
        let (first, to_infer) = sync_channel::<Entry<T>>(CHANNEL_ROOM);
        let (inferred, to_finish) = sync_channel(CHANNEL_ROOM);
        let (finished, to_deliver) = sync_channel(CHANNEL_ROOM);
        let delivering = Arc::new(Mutex::new(()));
        let mut handles = Vec::with_capacity(3);
        let mut spawn = |name: &str, work: Box<dyn FnOnce() + Send>| -> io::Result<()> {
            let builder = thread::Builder::new().name(format!("cyclegan-{name}"));
            handles.push(builder.spawn(work)?);
            Ok(())
        };
        let own = stages.clone();
        spawn(
            "infer",
            Box::new(move || {
                run_stage(Stage::Infer, &*own, to_infer, Some(inferred), |mut item, _| {
                    own.infer(&mut item);
                    Ok(Some(item))
                });
            }),
        )?;
        let own = stages.clone();
        spawn(
            "finish",
            Box::new(move || {
                run_stage(Stage::Finish, &*own, to_finish, Some(finished), |mut item, permit| {
                    own.finish(&mut item)?;
                    permit.leave_generator();
                    Ok(Some(item))
                });
            }),
        )?;
        let (own, is_delivering) = (stages.clone(), delivering.clone());
        spawn(
            "deliver",
            Box::new(move || {
                run_stage(Stage::Deliver, &*own, to_deliver, None, |item, permit| {
                    let _delivering = lock(&is_delivering);
                    match permit.is_current(Stage::Deliver) {
                        true => own.deliver(item)?,
                        false => own.discard(item),
                    }
                    Ok(None)
                });
            }),
        )?;
        Ok(Self { first, delivering, handles })
    }

    fn is_own(&self, thread: ThreadId) -> bool {
        self.handles.iter().any(|handle| handle.thread().id() == thread)
    }
}

/// The thread of one stage: runs it on each item that was not discarded, and sends the item to the
/// `next` stage.
fn run_stage<S: Stages>(
    stage: Stage,
    stages: &S,
    entries: Receiver<Entry<S::Item>>,
    next: Option<SyncSender<Entry<S::Item>>>,
    mut take: impl FnMut(S::Item, &mut Permit) -> Result<Option<S::Item>, FlowError>,
) {
    for Entry { item, mut permit } in entries {
        if !permit.is_current(stage) {
            match &next {
                _ if !stages.keeps_place(&item) => {}
                Some(next) => drop(next.send(Entry { item, permit })),
                None => stages.discard(item),
            }
            continue;
        }
        let result = catch_unwind(AssertUnwindSafe(|| take(item, &mut permit)));
        let result = result.unwrap_or_else(|_| {
            stages.panicked();
            Err(FlowError::Error)
        });
        match (result, &next) {
            // The receiver lives: the next stage ends after this one.
            (Ok(Some(item)), Some(next)) => drop(next.send(Entry { item, permit })),
            (Ok(_), _) => {}
            (Err(error), _) => permit.fail(stage, error),
        }
    }
}

#[cfg(test)]
mod tests;
