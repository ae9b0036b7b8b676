// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several jobs at once through stages that have a thread each, in their order: while one frame is
//! in the generator, the one before it is composited and the one after it converted.

mod schedule;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

pub use schedule::Route;
use schedule::{Refusal, STAGES, Schedule, Stage, Ticket};

use super::lock;

/// The work on a job after it has entered a [`Line`], each part on a thread of its own.
pub trait Stages: Send + Sync + 'static {
    /// What goes through the stages.
    type Job: Send + 'static;

    /// Runs the generator. A failure is for the job to remember until its turn comes.
    fn infer(&self, job: &mut Self::Job);

    /// What takes the jobs in their order. After a failure nothing that is behind is delivered.
    fn finish(&self, job: &mut Self::Job) -> Result<(), gst::FlowError>;

    /// Hands over the result.
    fn deliver(&self, job: Self::Job) -> Result<(), gst::FlowError>;

    /// Tells of a stage that panicked. The job is gone.
    fn panicked(&self);
}

/// Threads for all stages. They end when it is dropped; what is under way then is discarded.
pub struct Line<S: Stages> {
    shared: Arc<Shared<S>>,
    room: usize,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<S: Stages> {
    stages: S,
    state: Mutex<State<S::Job>>,
    /// Something has changed in `state`.
    changed: Condvar,
}

struct State<J> {
    schedule: Schedule<J, gst::FlowError>,
    is_closed: bool,
}

/// The right to enter a job. Dropped without a job, its place is free again.
pub struct Place<'a, S: Stages> {
    line: &'a Line<S>,
    route: Option<Route>,
}

impl<S: Stages> Line<S> {
    /// Starts the threads, for up to `room` jobs that have to be inferred or are not finished yet.
    pub fn new(stages: S, room: usize) -> io::Result<Self> {
        let state = State { schedule: Schedule::new(room), is_closed: false };
        let shared = Arc::new(Shared { stages, state: Mutex::new(state), changed: Condvar::new() });
        let mut line = Self { shared, room, threads: Vec::with_capacity(STAGES.len()) };
        for (stage, name) in STAGES.into_iter().zip(["infer", "finish", "deliver"]) {
            let shared = line.shared.clone();
            let thread = thread::Builder::new().name(format!("cyclegan-{name}"));
            line.threads.push(thread.spawn(move || shared.work(stage))?);
        }
        Ok(line)
    }

    /// How many jobs may wait for the generator, be in it or be being finished.
    pub fn room(&self) -> usize {
        self.room
    }

    /// How many do now.
    pub fn in_generator(&self) -> usize {
        lock(&self.shared.state).schedule.in_generator()
    }

    /// Waits for a place, with fewer than `most` jobs under way. Fails if one of the jobs before
    /// has failed, which is told once, or while jobs are discarded.
    pub fn reserve(&self, route: Route, most: usize) -> Result<Place<'_, S>, gst::FlowError> {
        let mut state = lock(&self.shared.state);
        loop {
            match state.schedule.reserve(route, most) {
                Some(Ok(())) => return Ok(Place { line: self, route: Some(route) }),
                Some(Err(refusal)) => return Err(flow_error(refusal)),
                None => state = self.shared.wait(state),
            }
        }
    }

    /// Waits until everything under way has been delivered, or is discarded.
    pub fn drain(&self) {
        let mut state = lock(&self.shared.state);
        while !state.schedule.is_drained() {
            state = self.shared.wait(state);
        }
    }

    /// The failure of a job that nobody was told of, for when no other follows it.
    pub fn take_failure(&self) -> Option<gst::FlowError> {
        lock(&self.shared.state).schedule.take_failure()
    }

    /// Discards everything under way, and what comes until [`Line::resume`]. Does not wait.
    pub fn discard(&self) {
        let discarded = lock(&self.shared.state).schedule.discard();
        self.shared.changed.notify_all();
        drop(discarded);
    }

    /// Waits for the stages to let go of what was discarded, and takes jobs again.
    pub fn resume(&self) {
        let mut state = lock(&self.shared.state);
        while !state.schedule.is_idle() {
            state = self.shared.wait(state);
        }
        state.schedule.resume();
    }
}

impl<S: Stages> Drop for Line<S> {
    fn drop(&mut self) {
        let discarded = {
            let mut state = lock(&self.shared.state);
            state.is_closed = true;
            state.schedule.discard()
        };
        self.shared.changed.notify_all();
        drop(discarded);
        let own = thread::current().id();
        // The last reference to what holds the line may be a stage's own.
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != own) {
            if thread.join().is_err() {
                gst::error!(gst::CAT_DEFAULT, "a stage has panicked");
            }
        }
    }
}

impl<S: Stages> Place<'_, S> {
    /// Enters `job`.
    pub fn enter(mut self, job: S::Job) -> Result<(), gst::FlowError> {
        let Some(route) = self.route.take() else { return Ok(()) };
        let result = lock(&self.line.shared.state).schedule.enter(job, route);
        self.line.shared.changed.notify_all();
        result.map_err(|(_job, refusal)| flow_error(refusal))
    }
}

impl<S: Stages> Drop for Place<'_, S> {
    fn drop(&mut self) {
        if let Some(route) = self.route.take() {
            lock(&self.line.shared.state).schedule.cancel(route);
            self.line.shared.changed.notify_all();
        }
    }
}

impl<S: Stages> Shared<S> {
    /// One stage's thread.
    fn work(&self, stage: Stage) {
        while let Some((job, ticket)) = self.next(stage) {
            let worked = catch_unwind(AssertUnwindSafe(|| self.work_on(stage, job, ticket.route)));
            let outcome = worked.unwrap_or_else(|_| {
                self.stages.panicked();
                Err(gst::FlowError::Error)
            });
            let discarded = self.conclude(stage, outcome, ticket);
            self.changed.notify_all();
            drop(discarded);
        }
    }

    /// The next job for `stage`, or `None` when the line is closed.
    fn next(&self, stage: Stage) -> Option<(S::Job, Ticket)> {
        let mut state = lock(&self.state);
        while !state.is_closed {
            match state.schedule.take(stage) {
                Some(next) => return Some(next),
                None => state = self.wait(state),
            }
        }
        None
    }

    /// Returns what is left of the job.
    fn work_on(
        &self,
        stage: Stage,
        mut job: S::Job,
        route: Route,
    ) -> Result<Option<S::Job>, gst::FlowError> {
        match stage {
            Stage::Infer => {
                if route == Route::Through {
                    self.stages.infer(&mut job);
                }
                Ok(Some(job))
            }
            Stage::Finish => self.stages.finish(&mut job).map(|()| Some(job)),
            Stage::Deliver => self.stages.deliver(job).map(|()| None),
        }
    }

    /// Notes what has become of a job; returns what is to be dropped.
    fn conclude(
        &self,
        stage: Stage,
        outcome: Result<Option<S::Job>, gst::FlowError>,
        ticket: Ticket,
    ) -> Vec<S::Job> {
        let mut state = lock(&self.state);
        match outcome {
            Ok(Some(job)) => state.schedule.pass_on(stage, job, ticket).into_iter().collect(),
            Ok(None) => state.schedule.end(stage, &ticket, Ok(())),
            Err(error) => state.schedule.end(stage, &ticket, Err(error)),
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<S::Job>>) -> MutexGuard<'a, State<S::Job>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

fn flow_error(refusal: Refusal<gst::FlowError>) -> gst::FlowError {
    match refusal {
        Refusal::Discarding => gst::FlowError::Flushing,
        Refusal::Failed(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// Stages that take their time, and note what was delivered.
    struct Sleeping {
        times: [Duration; 3],
        delivered: Arc<Mutex<Vec<u32>>>,
    }

    const BAD: u32 = 1_000_000;

    impl Stages for Sleeping {
        type Job = u32;

        fn infer(&self, job: &mut u32) {
            thread::sleep(self.times[0]);
            assert_ne!(*job, BAD + 1, "a panic on purpose");
        }

        fn finish(&self, job: &mut u32) -> Result<(), gst::FlowError> {
            thread::sleep(self.times[1]);
            if *job == BAD { Err(gst::FlowError::NotSupported) } else { Ok(()) }
        }

        fn deliver(&self, job: u32) -> Result<(), gst::FlowError> {
            thread::sleep(self.times[2]);
            lock(&self.delivered).push(job);
            Ok(())
        }

        fn panicked(&self) {
            lock(&self.delivered).push(u32::MAX);
        }
    }

    fn line(times: [u64; 3], room: usize) -> (Line<Sleeping>, Arc<Mutex<Vec<u32>>>) {
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let times = times.map(Duration::from_micros);
        let stages = Sleeping { times, delivered: delivered.clone() };
        (Line::new(stages, room).unwrap(), delivered)
    }

    fn enter(line: &Line<Sleeping>, job: u32, route: Route) -> Result<(), gst::FlowError> {
        line.reserve(route, 8)?.enter(job)
    }

    #[test]
    fn draining_waits_for_the_last_job() {
        let (line, delivered) = line([200, 300, 100], 3);
        for job in 0..50 {
            let route = if job % 3 == 0 { Route::Past } else { Route::Through };
            enter(&line, job, route).unwrap();
        }
        line.drain();
        assert!(lock(&delivered).iter().copied().eq(0..50));
    }

    /// Jobs enter while another thread discards at random; what comes out is in order, and after
    /// each `resume` nothing of before comes.
    #[test]
    fn nothing_from_before_a_flush_comes_after_it() {
        let (line, delivered) = line([50, 80, 30], 3);
        let mut job = 0;
        for round in 0..100u64 {
            job = thread::scope(|scope| {
                let entering = scope.spawn(|| {
                    let mut jobs = job..;
                    let _ = jobs.by_ref().try_for_each(|job| enter(&line, job, Route::Through));
                    jobs.start
                });
                thread::sleep(Duration::from_micros(round * 37 % 1000));
                line.discard();
                entering.join().unwrap()
            });
            line.resume();
            lock(&delivered).push(job);
            job += 1;
        }
        assert!(lock(&delivered).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_failure_reaches_the_one_who_enters() {
        let (line, delivered) = line([0, 0, 0], 2);
        enter(&line, 0, Route::Through).unwrap();
        line.drain();
        enter(&line, BAD, Route::Through).unwrap();
        line.drain();
        assert_eq!(enter(&line, 1, Route::Through), Err(gst::FlowError::NotSupported));
        enter(&line, 2, Route::Through).unwrap();
        line.drain();
        assert_eq!(*lock(&delivered), [0, 2]);
    }

    #[test]
    fn a_panic_is_a_failure() {
        let (line, delivered) = line([0, 0, 0], 2);
        enter(&line, BAD + 1, Route::Through).unwrap();
        line.drain();
        assert_eq!(enter(&line, 1, Route::Through), Err(gst::FlowError::Error));
        enter(&line, 2, Route::Through).unwrap();
        line.drain();
        assert_eq!(*lock(&delivered), [u32::MAX, 2]);
    }

    #[test]
    fn a_place_that_is_not_used_is_free_again() {
        let (line, _) = line([0, 0, 0], 1);
        for _ in 0..3 {
            drop(line.reserve(Route::Through, 1).unwrap());
        }
        line.drain();
        assert_eq!(line.in_generator(), 0);
    }

    /// Twenty jobs, 5 ms in each of two stages: half the time, and a little, of one at a time.
    #[test]
    fn stages_overlap() {
        let time = |room| {
            let (line, _) = line([5000, 5000, 0], room);
            let start = Instant::now();
            (0..20).for_each(|job| enter(&line, job, Route::Through).unwrap());
            line.drain();
            start.elapsed()
        };
        let (alone, overlapped) = (time(1), time(4));
        assert!(overlapped < alone * 4 / 5, "{overlapped:?} instead of {alone:?}");
    }

    #[test]
    fn dropping_it_does_not_wait_for_what_is_behind() {
        let (line, delivered) = line([100_000, 0, 0], 8);
        (0..8).for_each(|job| enter(&line, job, Route::Through).unwrap());
        drop(line);
        assert!(lock(&delivered).len() < 7);
    }
}
