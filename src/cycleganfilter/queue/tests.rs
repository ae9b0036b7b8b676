// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests of the queue, with stages that sleep, fail and panic, and a ledger of every item.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;

/// What happened to each item.
#[derive(Default)]
struct Ledger {
    delivered: Mutex<Vec<u32>>,
    dropped: Mutex<Vec<u32>>,
    discarded: Mutex<Vec<u32>>,
    failures: AtomicUsize,
    panics: AtomicUsize,
}

/// A numbered item that writes to the ledger when it is dropped.
struct Item {
    number: u32,
    fails_at: Option<Stage>,
    keeps_place: bool,
    is_delivered: bool,
    ledger: Arc<Ledger>,
}

impl Item {
    fn new(ledger: &Arc<Ledger>, number: u32, fails_at: Option<Stage>) -> Self {
        let ledger = ledger.clone();
        Self { number, fails_at, keeps_place: false, is_delivered: false, ledger }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        let list = if self.is_delivered { &self.ledger.delivered } else { &self.ledger.dropped };
        lock(list).push(self.number);
    }
}

/// Stages that sleep.
struct Sleeping {
    times: [Duration; 3],
    ledger: Arc<Ledger>,
}

impl Stages for Sleeping {
    type Item = Item;

    fn infer(&self, item: &mut Item) {
        thread::sleep(self.times[0]);
        assert_ne!(item.fails_at, Some(Stage::Infer), "a panic on purpose");
    }

    fn finish(&self, item: &mut Item) -> Result<(), FlowError> {
        thread::sleep(self.times[1]);
        self.fail(item, Stage::Finish)
    }

    fn deliver(&self, mut item: Item) -> Result<(), FlowError> {
        thread::sleep(self.times[2]);
        self.fail(&item, Stage::Deliver)?;
        item.is_delivered = true;
        Ok(())
    }

    fn keeps_place(&self, item: &Item) -> bool {
        item.keeps_place
    }

    fn discard(&self, item: Item) {
        lock(&self.ledger.discarded).push(item.number);
    }

    fn panicked(&self) {
        self.ledger.panics.fetch_add(1, SeqCst);
    }
}

impl Sleeping {
    fn fail(&self, item: &Item, stage: Stage) -> Result<(), FlowError> {
        if item.fails_at != Some(stage) {
            return Ok(());
        }
        self.ledger.failures.fetch_add(1, SeqCst);
        Err(FlowError::NotSupported)
    }
}

fn queue(micros: [u64; 3], depth: usize) -> (Queue<Sleeping>, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::default());
    let stages = Sleeping { times: micros.map(Duration::from_micros), ledger: ledger.clone() };
    (Queue::new(stages, depth).unwrap(), ledger)
}

const MOST: usize = 8;

fn push_failing(
    (queue, ledger): (&Queue<Sleeping>, &Arc<Ledger>),
    number: u32,
    needs_generator: bool,
    fails_at: Option<Stage>,
) -> Result<(), FlowError> {
    let permit = queue.reserve(needs_generator, MOST)?;
    queue.push(permit, Item::new(ledger, number, fails_at))
}

fn push(queue: (&Queue<Sleeping>, &Arc<Ledger>), number: u32) -> Result<(), FlowError> {
    push_failing(queue, number, true, None)
}

fn push_event(
    (queue, ledger): (&Queue<Sleeping>, &Arc<Ledger>),
    number: u32,
) -> Result<(), FlowError> {
    let mut event = Item::new(ledger, number, None);
    event.keeps_place = true;
    queue.push_event(event)
}

/// What may happen next, in any order.
#[derive(Clone, Copy, Debug)]
enum Event {
    Push { needs_generator: bool, fails_at: Option<Stage> },
    Admit,
    Cancel,
    Drain,
    Flush,
    FlushAndResume,
}

fn event() -> impl Strategy<Value = Event> {
    let push = |fails_at| {
        any::<bool>().prop_map(move |needs_generator| Event::Push { needs_generator, fails_at })
    };
    prop_oneof![
        30 => push(None),
        1 => push(Some(Stage::Finish)),
        1 => push(Some(Stage::Deliver)),
        4 => Just(Event::Admit),
        2 => Just(Event::Cancel),
        1 => Just(Event::Drain),
        1 => Just(Event::Flush),
        2 => Just(Event::FlushAndResume),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Each item is delivered or dropped exactly once and in order, no item from before a flush is
    /// delivered after it, and each failure is returned at most once.
    #[test]
    fn no_item_is_lost_or_delivered_twice(
        events in prop::collection::vec(event(), 0..120),
        depth in 1usize..5,
    ) {
        let (queue, ledger) = queue([3, 5, 2], depth);
        let (mut entered, mut told, mut before_flush) = (0, 0, 0);
        let mut is_flushing = false;
        for event in events {
            match event {
                Event::Push { needs_generator, fails_at } => {
                    let permit = queue.reserve(needs_generator, MOST);
                    let is_made = permit.is_ok();
                    let item = || Item::new(&ledger, entered, fails_at);
                    let result = permit.and_then(|permit| queue.push(permit, item()));
                    told += usize::from(result == Err(FlowError::NotSupported));
                    entered += u32::from(is_made);
                    prop_assert!(is_flushing == (result == Err(FlowError::Flushing)));
                }
                Event::Admit => {
                    let result = push_event((&queue, &ledger), entered);
                    prop_assert_eq!(result.is_err(), is_flushing);
                    entered += 1;
                }
                Event::Cancel => {
                    let result = queue.reserve(true, MOST).map(drop);
                    told += usize::from(result == Err(FlowError::NotSupported));
                }
                Event::Drain => queue.drain(),
                Event::Flush => {
                    queue.flush();
                    is_flushing = true;
                }
                Event::FlushAndResume => {
                    queue.flush();
                    queue.resume();
                    is_flushing = false;
                    before_flush = lock(&ledger.delivered).len();
                    let late = lock(&ledger.delivered).iter().any(|number| *number >= entered);
                    prop_assert!(!late);
                }
            }
            prop_assert!(queue.in_generator() <= depth);
        }
        queue.drain();
        if !is_flushing {
            prop_assert_eq!((queue.len(), queue.in_generator()), (0, 0));
        }
        drop(queue);
        let (delivered, dropped) = (lock(&ledger.delivered).clone(), lock(&ledger.dropped).clone());
        prop_assert!(delivered.is_sorted_by(|a, b| a < b), "{:?}", delivered);
        prop_assert!(before_flush <= delivered.len());
        prop_assert!(told <= ledger.failures.load(SeqCst), "a failure was told twice");
        let mut all = [delivered, dropped].concat();
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(0..entered), "items have been lost or doubled");
    }

    #[test]
    fn without_failures_and_flushes_all_is_delivered(
        needs in prop::collection::vec(any::<bool>(), 0..60),
        depth in 1usize..5,
    ) {
        let (queue, ledger) = queue([3, 5, 2], depth);
        for (number, needs_generator) in (0..).zip(&needs) {
            push_failing((&queue, &ledger), number, *needs_generator, None).unwrap();
        }
        queue.drain();
        prop_assert!(lock(&ledger.delivered).iter().copied().eq(0..needs.len() as u32));
    }
}

/// Items enter while another thread flushes at random; after each flush, no item from before it is
/// delivered.
#[test]
fn nothing_from_before_a_flush_comes_after_it() {
    let (queue, ledger) = queue([50, 80, 30], 3);
    let mut number = 0;
    for round in 0..100u64 {
        number = thread::scope(|scope| {
            let entering = scope.spawn(|| {
                let mut numbers = number..;
                let _ = numbers.by_ref().try_for_each(|number| push((&queue, &ledger), number));
                numbers.start
            });
            thread::sleep(Duration::from_micros(round * 37 % 1000));
            queue.flush();
            entering.join().unwrap()
        });
        queue.resume();
        lock(&ledger.delivered).push(number);
        number += 1;
    }
    assert!(lock(&ledger.delivered).is_sorted_by(|a, b| a < b));
}

#[test]
fn the_generator_has_room_for_so_many_and_others_go_past_it() {
    let (queue, ledger) = queue([30_000, 0, 0], 2);
    for number in 0..2 {
        push((&queue, &ledger), number).unwrap();
    }
    assert_eq!(queue.in_generator(), 2);
    let start = Instant::now();
    push_failing((&queue, &ledger), 2, false, None).unwrap();
    assert!(start.elapsed() < Duration::from_millis(20), "it waited for the generator");
    push((&queue, &ledger), 3).unwrap();
    assert!(queue.in_generator() <= 2);
    queue.drain();
    assert_eq!(*lock(&ledger.delivered), [0, 1, 2, 3]);
}

#[test]
fn items_before_a_failure_are_delivered_and_later_ones_are_not() {
    let (queue, ledger) = queue([0, 1000, 3000], 4);
    push((&queue, &ledger), 0).unwrap();
    push((&queue, &ledger), 1).unwrap();
    push_failing((&queue, &ledger), 2, true, Some(Stage::Finish)).unwrap();
    let behind = push((&queue, &ledger), 3);
    queue.drain();
    if behind.is_ok() {
        assert_eq!(push((&queue, &ledger), 4), Err(FlowError::NotSupported));
    }
    push((&queue, &ledger), 5).unwrap();
    queue.drain();
    assert_eq!(*lock(&ledger.delivered), [0, 1, 5]);
}

#[test]
fn an_event_leaves_a_failure_to_the_next_frame() {
    let (queue, ledger) = queue([0, 0, 0], 2);
    push_failing((&queue, &ledger), 0, true, Some(Stage::Deliver)).unwrap();
    queue.drain();
    push_event((&queue, &ledger), 1).unwrap();
    assert_eq!(push((&queue, &ledger), 2), Err(FlowError::NotSupported));
    queue.drain();
    assert_eq!(*lock(&ledger.delivered), [1]);
}

/// Wherever they are in the queue, and also if they arrive during the flush.
#[test]
fn a_flush_discards_events_in_order() {
    let (queue, ledger) = queue([3000, 3000, 3000], 3);
    for number in 0..6 {
        push_event((&queue, &ledger), number).unwrap();
    }
    thread::sleep(Duration::from_millis(8));
    queue.flush();
    assert_eq!(push_event((&queue, &ledger), 6), Err(FlowError::Flushing));
    queue.resume();
    queue.drain();
    let (delivered, discarded) = (lock(&ledger.delivered).clone(), lock(&ledger.discarded).clone());
    assert!([delivered, discarded].concat().into_iter().eq(0..7));
}

#[test]
fn a_panic_is_a_failure() {
    let (queue, ledger) = queue([0, 0, 0], 2);
    push_failing((&queue, &ledger), 0, true, Some(Stage::Infer)).unwrap();
    queue.drain();
    assert_eq!(push((&queue, &ledger), 1), Err(FlowError::Error));
    push((&queue, &ledger), 2).unwrap();
    queue.drain();
    assert_eq!(*lock(&ledger.delivered), [2]);
    assert_eq!(ledger.panics.load(SeqCst), 1);
}

#[test]
fn a_permit_that_is_not_used_is_free_again() {
    let (queue, _) = queue([0, 0, 0], 2);
    for _ in 0..5 {
        drop(queue.reserve(true, 1).unwrap());
    }
    queue.drain();
    assert_eq!((queue.in_generator(), queue.len()), (0, 0));
}

/// Ten items that take 20 ms in each of two stages need little more than half the time that they
/// need one by one. Shorter stages would measure how late a busy machine wakes threads.
#[test]
fn stages_overlap() {
    let time = |depth| {
        let (queue, ledger) = queue([20_000, 20_000, 0], depth);
        let start = Instant::now();
        (0..10).for_each(|number| push((&queue, &ledger), number).unwrap());
        queue.drain();
        start.elapsed()
    };
    let (alone, overlapped) = (time(1), time(4));
    assert!(overlapped < alone * 4 / 5, "{overlapped:?} instead of {alone:?}");
}

#[test]
fn dropping_the_queue_does_not_wait_for_pending_items() {
    let (queue, ledger) = queue([100_000, 0, 0], 8);
    (0..8).for_each(|number| push((&queue, &ledger), number).unwrap());
    drop(queue);
    assert!(lock(&ledger.delivered).len() < 7);
    assert_eq!(lock(&ledger.delivered).len() + lock(&ledger.dropped).len(), 8);
}
