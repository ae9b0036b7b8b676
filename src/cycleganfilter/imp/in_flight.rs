// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several frames in flight. The streaming thread takes a frame up to its tensor, and the threads
//! of a [`Line`] take it on from there, to the source pad.
//!
//! Those threads take no lock that anybody holds while waiting for the line, and no pad's stream
//! lock but that of the pad they push to.

use std::sync::Arc;

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::base_transform::GenerateOutputSuccess};

use super::CycleGanFilter;
use crate::cycleganfilter::{
    job::{Fate, Job},
    line::{Line, Place, Route, Stages},
    lock,
};

/// How many more frames may be under way in a live pipeline: all those that come in while the sink
/// waits for the time of the first. A second's worth at 30 frames a second.
const LIVE_ROOM: usize = 30;

/// The frames in flight.
pub type FrameLine = Line<FrameStages>;

/// What the threads do for their element.
pub struct FrameStages(glib::WeakRef<super::super::CycleGanFilter>);

impl Stages for FrameStages {
    type Job = Job;

    fn infer(&self, job: &mut Job) {
        job.infer();
    }

    fn finish(&self, job: &mut Job) -> Result<(), gst::FlowError> {
        let element = self.0.upgrade().ok_or(gst::FlowError::Flushing)?;
        element.imp().finish(job)
    }

    fn deliver(&self, job: Job) -> Result<(), gst::FlowError> {
        let element = self.0.upgrade().ok_or(gst::FlowError::Flushing)?;
        element.src_pad().push(job.into_buffer()).map(|_| ())
    }

    fn panicked(&self) {
        if let Some(element) = self.0.upgrade() {
            gst::element_error!(element, gst::LibraryError::Failed, ("A frame's stage panicked"));
        }
    }
}

impl CycleGanFilter {
    /// The threads for `max-in-flight` frames, or `None` for one at a time.
    pub(super) fn new_line(&self) -> Result<Option<Arc<FrameLine>>, gst::ErrorMessage> {
        let max_in_flight = lock(&self.settings).max_in_flight as usize;
        if max_in_flight == 1 {
            return Ok(None);
        }
        let line = FrameLine::new(FrameStages(self.obj().downgrade()), max_in_flight);
        let line = line.map_err(|error| {
            gst::error_msg!(gst::ResourceError::Failed, ["No threads for several frames: {error}"])
        })?;
        Ok(Some(Arc::new(line)))
    }

    /// The frames in flight, if there may be several.
    pub(super) fn line(&self) -> Option<Arc<FrameLine>> {
        lock(&self.line).clone()
    }

    /// Lets everything out that came in before, so that what comes next comes after it.
    pub(super) fn drain(&self) {
        if let Some(line) = self.line() {
            line.drain();
        }
    }

    /// Says that the last frames could not be delivered: no frame follows that upstream could be
    /// told with. Downstream says itself what else goes wrong there.
    pub(super) fn tell_failure(&self, line: &FrameLine) {
        if let Some(error @ (gst::FlowError::NotLinked | gst::FlowError::NotNegotiated)) =
            line.take_failure()
        {
            gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("The last frames could not be delivered: {error}")
            );
        }
    }

    /// Takes a frame up to its tensor and into the line.
    pub(super) fn launch(
        &self,
        line: &FrameLine,
        buffer: gst::Buffer,
    ) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let is_live = lock(&self.deadlines).is_live();
        let most = 2 * line.room() + if is_live { LIVE_ROOM } else { 0 };
        if self.obj().is_passthrough() {
            let place = line.reserve(Route::Past, most)?;
            return self.enter(place, self.pass(buffer));
        }
        let in_generator = line.in_generator();
        // A live frame that would have to wait for a place is late when it gets one.
        let is_late = is_live && in_generator >= line.room();
        let Some(fate) = self.fate(&buffer, is_late, in_generator) else {
            self.note_drop();
            return Ok(GenerateOutputSuccess::Dropped);
        };
        let route = if fate == Fate::Translate { Route::Through } else { Route::Past };
        let place = line.reserve(route, most)?;
        let mut job = self.new_job(buffer, fate)?;
        job.prepare();
        self.enter(place, job)
    }

    /// Notes that a frame is missing before the next one.
    pub(super) fn note_drop(&self) {
        if let Some(state) = lock(&self.state).as_mut() {
            state.has_dropped = true;
        }
    }

    fn enter(
        &self,
        place: Place<'_, FrameStages>,
        mut job: Job,
    ) -> Result<GenerateOutputSuccess, gst::FlowError> {
        // The base class marks only what it pushes itself.
        let mut state = lock(&self.state);
        if state.as_mut().is_some_and(|state| std::mem::take(&mut state.has_dropped)) {
            job.mark_discont();
        }
        drop(state);
        place.enter(job)?;
        Ok(GenerateOutputSuccess::NoOutput)
    }
}
