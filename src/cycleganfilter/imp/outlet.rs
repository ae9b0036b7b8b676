// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element's end of its queue.

use std::sync::Arc;

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::prelude::*;

use super::CycleGanFilter;
use crate::cycleganfilter::{
    frames::{FrameQueue, FrameStages, Outlet},
    job::Job,
    lock,
    queue::Queue,
};

/// The element, which its queue does not keep alive.
struct Element(glib::WeakRef<crate::cycleganfilter::CycleGanFilter>);

impl Element {
    fn get(&self) -> Result<crate::cycleganfilter::CycleGanFilter, gst::FlowError> {
        self.0.upgrade().ok_or(gst::FlowError::Flushing)
    }
}

impl Outlet for Element {
    fn finish(&self, job: Job) -> Result<gst::Buffer, gst::FlowError> {
        self.get()?.imp().finish(job)
    }

    fn count_passed(&self) {
        if let Ok(element) = self.get() {
            element.imp().count_passed();
        }
    }

    fn push(&self, buffer: gst::Buffer) -> Result<(), gst::FlowError> {
        self.get()?.src_pad().push(buffer).map(|_| ())
    }

    fn push_event(&self, event: gst::Event) {
        if let Ok(element) = self.get() {
            element.src_pad().push_event(event);
        }
    }

    fn panicked(&self) {
        if let Ok(element) = self.get() {
            gst::element_error!(element, gst::LibraryError::Failed, ("A frame's stage panicked"));
        }
    }
}

impl CycleGanFilter {
    /// The queue for `max-in-flight` frames.
    pub(super) fn new_queue(&self) -> Result<Arc<FrameQueue>, gst::ErrorMessage> {
        let depth = lock(&self.settings).max_in_flight as usize;
        let queue = Queue::new(FrameStages::new(Element(self.obj().downgrade())), depth).map_err(
            |error| {
                gst::error_msg!(
                    gst::ResourceError::Failed,
                    ["No threads for several frames: {error}"]
                )
            },
        )?;
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
