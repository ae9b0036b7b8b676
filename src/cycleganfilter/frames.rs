// SPDX-License-Identifier: MIT OR Apache-2.0

//! The queue of the element: frames and events, and what its stages do with them.

use super::{
    job::Job,
    queue::{Queue, Stages},
};

/// What goes through the queue.
pub enum Item {
    /// A frame that is worked on.
    Frame(Box<Job>),
    /// A frame that goes out itself, or that is ready to.
    Output(gst::Buffer),
    /// A serialised event, in its place among the frames.
    Event(gst::Event),
}

/// Where frames come out. Its methods take no lock that anybody holds while waiting for the queue,
/// and no pad's stream lock but that of the pad that is pushed to.
pub trait Outlet: Send + Sync + 'static {
    /// Makes the output of the frame whose turn it is.
    fn finish(&self, job: Job) -> Result<gst::Buffer, gst::FlowError>;

    /// Counts a frame that goes out itself.
    fn count_passed(&self);

    /// Pushes a frame downstream.
    fn push(&self, buffer: gst::Buffer) -> Result<(), gst::FlowError>;

    /// Pushes an event downstream. What becomes of it there is no failure of the stream.
    fn push_event(&self, event: gst::Event);

    /// Reports that a stage panicked.
    fn panicked(&self);
}

/// The stages in front of an outlet.
pub struct FrameStages(Box<dyn Outlet>);

/// The frames and events between the sink pad and the source pad.
pub type FrameQueue = Queue<FrameStages>;

impl FrameStages {
    /// Stages whose frames come out at `outlet`.
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
            // None is left that is not finished.
            Item::Frame(_) => Err(gst::FlowError::Error),
        }
    }

    fn panicked(&self) {
        self.0.panicked();
    }
}
