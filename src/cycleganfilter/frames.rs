// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element's queue of frames and events, and its stages.

use super::{
    job::Job,
    queue::{Queue, Stages},
};

/// An item of the queue.
pub enum Item {
    /// A frame to process.
    Frame(Box<Job>),
    /// A finished output buffer, or an input buffer that passes through.
    Output(gst::Buffer),
    /// A serialised event, which keeps its place among the frames.
    Event(gst::Event),
}

/// The end of the queue. Its methods must not take a lock that another thread holds while it waits
/// for the queue, nor any stream lock but that of the pad that they push to.
pub trait Outlet: Send + Sync + 'static {
    /// Makes the output of a frame. Frames arrive in order.
    fn finish(&self, job: Job) -> Result<gst::Buffer, gst::FlowError>;

    /// Counts a buffer that passes through.
    fn count_passed(&self);

    /// Pushes a frame downstream.
    fn push(&self, buffer: gst::Buffer) -> Result<(), gst::FlowError>;

    /// Pushes an event downstream. An event that downstream does not handle is not an error.
    fn push_event(&self, event: gst::Event);

    /// Keeps an event that was discarded, if upstream does not send it again.
    fn keep_event(&self, event: gst::Event);

    /// Reports that a stage panicked.
    fn panicked(&self);
}

/// The stages before an outlet.
pub struct FrameStages(Box<dyn Outlet>);

/// The frames and events between the sink pad and the source pad.
pub type FrameQueue = Queue<FrameStages>;

impl FrameStages {
    /// Stages that push to `outlet`.
    pub fn new(outlet: impl Outlet) -> Self {
        Self(Box::new(outlet))
    }
}

impl Stages for FrameStages {
    type Item = Item;

    fn infer(&self, item: &mut Item) {
        if let Item::Frame(job) = item {
            job.infer();
        }
    }

    fn finish(&self, item: &mut Item) -> Result<(), gst::FlowError> {
        match std::mem::replace(item, Item::Output(gst::Buffer::new())) {
            Item::Frame(job) => *item = Item::Output(self.0.finish(*job)?),
            Item::Output(buffer) => {
                self.0.count_passed();
                *item = Item::Output(buffer);
            }
            event @ Item::Event(_) => *item = event,
        }
        Ok(())
    }

    fn deliver(&self, item: Item) -> Result<(), gst::FlowError> {
        match item {
            Item::Output(buffer) => self.0.push(buffer),
            Item::Event(event) => {
                self.0.push_event(event);
                Ok(())
            }
            // `finish` has replaced every frame by its output.
            Item::Frame(_) => Err(gst::FlowError::Error),
        }
    }

    fn keeps_place(&self, item: &Item) -> bool {
        matches!(item, Item::Event(_))
    }

    fn discard(&self, item: Item) {
        if let Item::Event(event) = item {
            self.0.keep_event(event);
        }
    }

    fn panicked(&self) {
        self.0.panicked();
    }
}
