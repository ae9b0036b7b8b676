// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the queue's stages do for the element. They take no lock that anybody holds while waiting
//! for the queue, and no pad's stream lock but that of the pad they push to.

use std::sync::Arc;

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::prelude::*;

use super::CycleGanFilter;
use crate::cycleganfilter::{
    job::Job,
    lock,
    queue::{Queue, Stages},
};

/// The frames and events between the sink pad and the source pad.
pub type FrameQueue = Queue<ElementStages>;

/// What goes through the queue.
pub enum Item {
    /// A frame that is worked on.
    Frame(Box<Job>),
    /// A frame that goes out itself, or that is ready to.
    Output(gst::Buffer),
    /// A serialised event, in its place among the frames.
    Event(gst::Event),
}

/// The stages of the element, which they do not keep alive.
pub struct ElementStages(glib::WeakRef<super::super::CycleGanFilter>);

impl ElementStages {
    fn element(&self) -> Result<super::super::CycleGanFilter, gst::FlowError> {
        self.0.upgrade().ok_or(gst::FlowError::Flushing)
    }
}

impl Stages for ElementStages {
    type Item = Item;

    fn infer(&self, item: &mut Item) {
        if let Item::Frame(job) = item {
            job.infer();
        }
    }

    fn finish(&self, item: &mut Item) -> Result<(), gst::FlowError> {
        match std::mem::replace(item, Item::Output(gst::Buffer::new())) {
            Item::Frame(job) => *item = Item::Output(self.element()?.imp().finish(*job)?),
            Item::Output(buffer) => {
                self.element()?.imp().count_passed();
                *item = Item::Output(buffer);
            }
            event => *item = event,
        }
        Ok(())
    }

    fn deliver(&self, item: Item) -> Result<(), gst::FlowError> {
        let pad = self.element()?.src_pad().clone();
        match item {
            Item::Output(buffer) => pad.push(buffer).map(|_| ()),
            // What downstream thinks of an event is no failure of the stream.
            Item::Event(event) => {
                pad.push_event(event);
                Ok(())
            }
            Item::Frame(_) => Err(gst::FlowError::Error),
        }
    }

    fn panicked(&self) {
        if let Some(element) = self.0.upgrade() {
            gst::element_error!(element, gst::LibraryError::Failed, ("A frame's stage panicked"));
        }
    }
}

impl CycleGanFilter {
    /// The queue for `max-in-flight` frames.
    pub(super) fn new_queue(&self) -> Result<Arc<FrameQueue>, gst::ErrorMessage> {
        let depth = lock(&self.settings).max_in_flight as usize;
        let queue = Queue::new(ElementStages(self.obj().downgrade()), depth).map_err(|error| {
            gst::error_msg!(gst::ResourceError::Failed, ["No threads for several frames: {error}"])
        })?;
        Ok(Arc::new(queue))
    }

    /// The queue, from start to stop.
    pub(super) fn queue(&self) -> Option<Arc<FrameQueue>> {
        lock(&self.state).stream.as_ref().map(|stream| stream.queue.clone())
    }

    /// Lets everything out that came in before, so that what comes next comes after it.
    pub(super) fn drain(&self) {
        if let Some(queue) = self.queue() {
            queue.drain();
        }
    }

    /// Says that the last frames could not be delivered: no frame follows whose push could return
    /// that. Downstream reports other failures itself.
    pub(super) fn report_last_failure(&self, queue: &FrameQueue) {
        if let Some(error @ (gst::FlowError::NotLinked | gst::FlowError::NotNegotiated)) =
            queue.take_failure()
        {
            gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("The last frames could not be delivered: {error}")
            );
        }
    }
}
