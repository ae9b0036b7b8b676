// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which job is where: the bookkeeping of a [`Line`](super::Line), without threads.

use std::collections::VecDeque;

/// What is done with a job, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Running the generator; jobs that go past it skip this.
    Infer,
    /// What takes the jobs in their order.
    Finish,
    /// Handing over the result.
    Deliver,
}

/// All stages.
pub const STAGES: [Stage; 3] = [Stage::Infer, Stage::Finish, Stage::Deliver];

/// Whether a job needs the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Through the generator.
    Through,
    /// Past the generator, in its turn all the same.
    Past,
}

/// Why a job cannot enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<E> {
    /// All jobs are being discarded.
    Discarding,
    /// A job that was before it has failed. This is told once for each failure.
    Failed(E),
}

/// What is known of a job under way.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    /// Whether it needs the generator.
    pub route: Route,
    /// Whether it counts among those in the generator.
    is_in_generator: bool,
}

/// What a stage is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Nothing,
    Job,
    /// A job that has been discarded meanwhile.
    Discarded,
}

/// The jobs under way, in their order. A job has its place from [`Schedule::reserve`] on. What is
/// discarded is returned, so that the caller can drop it where nobody waits for that.
#[derive(Debug)]
pub struct Schedule<J, E> {
    queues: [VecDeque<(J, Ticket)>; STAGES.len()],
    work: [Work; STAGES.len()],
    /// Places in the generator: how many there are, and how many are taken.
    room_in_generator: usize,
    in_generator: usize,
    /// Places that are taken altogether.
    total: usize,
    is_discarding: bool,
    failure: Option<E>,
}

impl<J, E> Schedule<J, E> {
    /// An empty one, with room for so many jobs in the generator at once.
    pub fn new(room_in_generator: usize) -> Self {
        Self {
            queues: std::array::from_fn(|_| VecDeque::with_capacity(2 * room_in_generator)),
            work: [Work::Nothing; STAGES.len()],
            room_in_generator,
            in_generator: 0,
            total: 0,
            is_discarding: false,
            failure: None,
        }
    }

    /// How many jobs wait for the generator, are in it or are being finished.
    pub fn in_generator(&self) -> usize {
        self.in_generator
    }

    /// Takes a place for a job of `route`, if there are fewer than `most` in all. `None` is to be
    /// asked again when something has changed.
    pub fn reserve(&mut self, route: Route, most: usize) -> Option<Result<(), Refusal<E>>> {
        if let Some(refusal) = self.refusal() {
            return Some(Err(refusal));
        }
        let is_through = route == Route::Through;
        let is_full = is_through && self.in_generator >= self.room_in_generator;
        if is_full || self.total >= most {
            return None;
        }
        self.total += 1;
        self.in_generator += usize::from(is_through);
        Some(Ok(()))
    }

    /// Gives up a place that no job has entered.
    pub fn cancel(&mut self, route: Route) {
        self.leave(route == Route::Through);
    }

    /// Enters a job into the place that was taken for it. If it is refused it comes back, and the
    /// place is gone.
    pub fn enter(&mut self, job: J, route: Route) -> Result<(), (J, Refusal<E>)> {
        if let Some(refusal) = self.refusal() {
            self.cancel(route);
            return Err((job, refusal));
        }
        let is_in_generator = route == Route::Through;
        let ticket = Ticket { route, is_in_generator };
        self.queues[0].push_back((job, ticket));
        Ok(())
    }

    /// The next job for `stage`, unless the stage has one.
    pub fn take(&mut self, stage: Stage) -> Option<(J, Ticket)> {
        if self.work[stage as usize] != Work::Nothing {
            return None;
        }
        let next = self.queues[stage as usize].pop_front()?;
        self.work[stage as usize] = Work::Job;
        Some(next)
    }

    /// Takes a job that `stage` is done with to the next stage, or returns it to be dropped.
    pub fn pass_on(&mut self, stage: Stage, job: J, mut ticket: Ticket) -> Option<J> {
        let work = std::mem::replace(&mut self.work[stage as usize], Work::Nothing);
        if stage == Stage::Finish && ticket.is_in_generator {
            ticket.is_in_generator = false;
            self.in_generator -= 1;
        }
        match self.queues.get_mut(stage as usize + 1) {
            Some(next) if work == Work::Job => {
                next.push_back((job, ticket));
                None
            }
            _ => {
                self.leave(ticket.is_in_generator);
                Some(job)
            }
        }
    }

    /// Notes that a job is gone after `stage`. If it failed, what is behind it is discarded.
    pub fn end(&mut self, stage: Stage, ticket: &Ticket, result: Result<(), E>) -> Vec<J> {
        let work = std::mem::replace(&mut self.work[stage as usize], Work::Nothing);
        self.leave(ticket.is_in_generator);
        match result {
            Err(failure) if work == Work::Job => {
                self.failure = Some(failure);
                self.clear_to(stage)
            }
            _ => Vec::new(),
        }
    }

    /// Discards all jobs, and refuses new ones until [`Schedule::resume`].
    pub fn discard(&mut self) -> Vec<J> {
        self.is_discarding = true;
        self.clear_to(Stage::Deliver)
    }

    /// Takes jobs again, and forgets failures; for when [`Schedule::is_idle`].
    pub fn resume(&mut self) {
        self.is_discarding = false;
        self.failure = None;
    }

    /// The failure that nobody was told of.
    pub fn take_failure(&mut self) -> Option<E> {
        self.failure.take()
    }

    /// Whether no job is under way that will be delivered.
    pub fn is_drained(&self) -> bool {
        self.total == 0 || self.is_discarding
    }

    /// Whether no stage is at work.
    pub fn is_idle(&self) -> bool {
        self.work.iter().all(|work| *work == Work::Nothing)
    }

    fn refusal(&mut self) -> Option<Refusal<E>> {
        if self.is_discarding {
            return Some(Refusal::Discarding);
        }
        self.take_failure().map(Refusal::Failed)
    }

    /// Discards what has not left `stage` yet.
    fn clear_to(&mut self, stage: Stage) -> Vec<J> {
        let count = stage as usize + 1;
        for work in self.work[..count].iter_mut().filter(|work| **work == Work::Job) {
            *work = Work::Discarded;
        }
        let queues = self.queues[..count].iter_mut();
        let gone: Vec<_> = queues.flat_map(|queue| queue.drain(..)).collect();
        let drop_ticket = |(job, ticket): (J, Ticket)| {
            self.total -= 1;
            self.in_generator -= usize::from(ticket.is_in_generator);
            job
        };
        gone.into_iter().map(drop_ticket).collect()
    }

    fn leave(&mut self, is_in_generator: bool) {
        self.total -= 1;
        self.in_generator -= usize::from(is_in_generator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: usize = 3;
    const MOST: usize = 6;

    /// What may happen next; any of it at any time.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Enter(Route),
        Cancel(Route),
        Take(Stage),
        Done(Stage),
        Fail(Stage),
        Discard,
        Resume,
    }

    fn event() -> impl Strategy<Value = Event> {
        let stage = || prop::sample::select(&STAGES);
        let route = || prop::sample::select(&[Route::Through, Route::Past]);
        prop_oneof![
            8 => route().prop_map(Event::Enter),
            1 => route().prop_map(Event::Cancel),
            16 => stage().prop_map(Event::Take),
            16 => stage().prop_map(Event::Done),
            1 => stage().prop_map(Event::Fail),
            1 => Just(Event::Discard),
            2 => Just(Event::Resume),
        ]
    }

    /// Plays events on a schedule of numbered jobs, and keeps a ledger of its own.
    #[derive(Debug)]
    struct Play {
        schedule: Schedule<u32, ()>,
        at_work: [Option<(u32, Ticket)>; 3],
        entered: u32,
        refused: u32,
        delivered: Vec<u32>,
        /// Discarded, refused or failed, each with the number of jobs that had entered by then.
        gone: Vec<u32>,
        failures: [u32; 2],
    }

    impl Play {
        fn new() -> Self {
            Self {
                schedule: Schedule::new(ROOM),
                at_work: [None; 3],
                entered: 0,
                refused: 0,
                delivered: Vec::new(),
                gone: Vec::new(),
                failures: [0; 2],
            }
        }

        fn event(&mut self, event: Event) {
            match event {
                Event::Enter(route) => match self.schedule.reserve(route, MOST) {
                    Some(Ok(())) => {
                        self.schedule.enter(self.entered, route).unwrap();
                        self.entered += 1;
                    }
                    Some(Err(Refusal::Failed(()))) => self.failures[1] += 1,
                    _ => self.refused += 1,
                },
                Event::Cancel(route) => {
                    if let Some(Ok(())) = self.schedule.reserve(route, MOST) {
                        self.schedule.cancel(route);
                    }
                }
                Event::Take(stage) => {
                    let place = &mut self.at_work[stage as usize];
                    let next = self.schedule.take(stage);
                    assert!(place.is_none() || next.is_none(), "two jobs at one stage");
                    *place = next.or(*place);
                }
                Event::Done(stage) => self.done(stage),
                Event::Fail(stage) => {
                    if let Some((job, ticket)) = self.at_work[stage as usize].take() {
                        let was_current = self.schedule.work[stage as usize] == Work::Job;
                        let discarded = self.schedule.end(stage, &ticket, Err(()));
                        self.gone.push(job);
                        self.gone.extend(discarded);
                        // One that nobody has been told of is overtaken by the next.
                        self.failures[0] += u32::from(was_current);
                    }
                }
                Event::Discard => {
                    let discarded = self.schedule.discard();
                    self.gone.extend(discarded);
                }
                Event::Resume => {
                    if self.schedule.is_idle() {
                        self.schedule.resume();
                    }
                }
            }
        }

        fn done(&mut self, stage: Stage) {
            let Some((job, ticket)) = self.at_work[stage as usize].take() else { return };
            if stage == Stage::Deliver {
                assert!(self.schedule.end(stage, &ticket, Ok(())).is_empty());
                self.delivered.push(job);
            } else {
                self.gone.extend(self.schedule.pass_on(stage, job, ticket));
            }
        }

        /// What holds after each event.
        fn check(&self) {
            let held = self.at_work.iter().flatten().count();
            let queued: usize = self.schedule.queues.iter().map(VecDeque::len).sum();
            assert_eq!(self.schedule.total, held + queued);
            assert!(self.schedule.total <= MOST && self.schedule.in_generator <= ROOM);
            let known = self.delivered.len() + self.gone.len() + held + queued;
            assert_eq!(known, self.entered as usize, "jobs have been lost or doubled");
            assert!(self.delivered.is_sorted_by(|a, b| a < b), "{:?}", self.delivered);
            assert!(self.failures[1] <= self.failures[0], "a failure was told twice");
        }

        /// Lets all stages work until nothing is left to do.
        fn drain(&mut self) {
            for _ in 0..=MOST {
                for stage in STAGES {
                    self.event(Event::Take(stage));
                    self.event(Event::Done(stage));
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn nothing_is_lost_or_doubled(events in prop::collection::vec(event(), 0..200)) {
            let mut play = Play::new();
            for event in events {
                play.event(event);
                play.check();
            }
            play.drain();
            play.check();
            prop_assert_eq!(play.schedule.total, 0, "draining ends");
            let mut all = [play.delivered, play.gone].concat();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..play.entered));
        }

        #[test]
        fn without_failure_or_discarding_all_is_delivered(
            events in prop::collection::vec(event(), 0..200),
        ) {
            let is_ordinary = |event: &Event| {
                !matches!(event, Event::Fail(_) | Event::Discard | Event::Resume)
            };
            let mut play = Play::new();
            events.into_iter().filter(is_ordinary).for_each(|event| play.event(event));
            play.drain();
            prop_assert!(play.delivered.iter().copied().eq(0..play.entered));
        }
    }

    #[test]
    fn the_generator_has_room_for_so_many_and_others_go_past_it() {
        let mut schedule = Schedule::<u32, ()>::new(1);
        assert_eq!(schedule.reserve(Route::Through, 3), Some(Ok(())));
        assert_eq!(schedule.reserve(Route::Through, 3), None);
        assert_eq!(schedule.reserve(Route::Past, 3), Some(Ok(())));
        assert_eq!(schedule.reserve(Route::Past, 2), None);
    }

    #[test]
    fn a_failure_is_told_to_the_next_and_what_is_behind_is_discarded() {
        let mut schedule = Schedule::<u32, &str>::new(2);
        for job in 0..2 {
            schedule.reserve(Route::Through, 2).unwrap().unwrap();
            schedule.enter(job, Route::Through).unwrap();
        }
        let (_, ticket) = schedule.take(Stage::Infer).unwrap();
        assert_eq!(schedule.end(Stage::Infer, &ticket, Err("broken")), [1]);
        assert_eq!(schedule.reserve(Route::Through, 2), Some(Err(Refusal::Failed("broken"))));
        assert_eq!(schedule.reserve(Route::Through, 2), Some(Ok(())));
    }
    #[test]
    fn what_is_before_a_failure_is_delivered() {
        let mut schedule = Schedule::<u32, &str>::new(3);
        for job in 0..3 {
            schedule.reserve(Route::Past, 3).unwrap().unwrap();
            schedule.enter(job, Route::Past).unwrap();
            let (job, ticket) = schedule.take(Stage::Infer).unwrap();
            assert!(schedule.pass_on(Stage::Infer, job, ticket).is_none());
        }
        let (job, ticket) = schedule.take(Stage::Finish).unwrap();
        assert!(schedule.pass_on(Stage::Finish, job, ticket).is_none());
        let (_, ticket) = schedule.take(Stage::Finish).unwrap();
        assert_eq!(schedule.end(Stage::Finish, &ticket, Err("broken")), [2]);
        assert_eq!(schedule.take(Stage::Deliver).map(|(job, _)| job), Some(0));
    }
}
