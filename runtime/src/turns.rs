// SPDX-License-Identifier: MIT OR Apache-2.0

//! A lock whose waiters take turns, and which an [`Interrupt`] can end waiting for.

use std::{
    collections::VecDeque,
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard},
    thread::{self, Thread},
};

use super::{error::RunError, interrupt::Interrupt, lock::lock, provider::Provider};

/// All WebGPU sessions of a process share one context, which fails or crashes if two threads use it at once.
static WEBGPU: Turns<()> = Turns::new(());

/// Waits until the thread may use `provider`: to open, bind, run and free sessions and their tensors. `None`
/// for a provider whose sessions do not share anything. A thread must not wait for it twice.
pub fn wait_for(
    provider: Provider,
    interrupt: &Interrupt,
) -> Result<Option<Turn<'static, ()>>, RunError> {
    (provider == Provider::WebGpu).then(|| WEBGPU.wait(interrupt)).transpose()
}

/// A value that one thread uses at a time, in the order of their calls. With a plain mutex, a thread that uses it
/// again and again may keep others waiting for long.
pub struct Turns<T> {
    value: Mutex<T>,
    queue: Mutex<Queue>,
}

struct Queue {
    is_taken: bool,
    /// The next one first.
    waiting: VecDeque<Thread>,
}

/// The value, until this is dropped.
pub struct Turn<'a, T> {
    turns: &'a Turns<T>,
    value: MutexGuard<'a, T>,
}

impl<T> Turns<T> {
    pub const fn new(value: T) -> Self {
        let queue = Queue { is_taken: false, waiting: VecDeque::new() };
        Self { value: Mutex::new(value), queue: Mutex::new(queue) }
    }

    /// Waits for the value. Fails with [`RunError::Interrupted`] once `interrupt` is set.
    pub fn wait(&self, interrupt: &Interrupt) -> Result<Turn<'_, T>, RunError> {
        let own = thread::current();
        let _waking = interrupt.wake(own.clone());
        lock(&self.queue).waiting.push_back(own.clone());
        loop {
            let is_interrupted = interrupt.is_set();
            let mut queue = lock(&self.queue);
            if is_interrupted {
                queue.waiting.retain(|thread| thread.id() != own.id());
                queue.wake_next();
                return Err(RunError::Interrupted);
            }
            if !queue.is_taken && queue.waiting.front().is_some_and(|next| next.id() == own.id()) {
                queue.waiting.pop_front();
                queue.is_taken = true;
                break;
            }
            drop(queue);
            // Returns at once if the thread was woken since the checks.
            thread::park();
        }
        Ok(Turn { turns: self, value: lock(&self.value) })
    }
}

impl Queue {
    fn wake_next(&self) {
        if let Some(next) = self.waiting.front().filter(|_| !self.is_taken) {
            next.unpark();
        }
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let mut queue = lock(&self.turns.queue);
        queue.is_taken = false;
        queue.wake_next();
    }
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc,
        time::{Duration, Instant},
    };

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn waiting(turns: &Turns<Vec<u32>>) -> usize {
        lock(&turns.queue).waiting.len()
    }

    #[test]
    fn turns_are_taken_in_order() {
        let turns = Turns::new(Vec::new());
        let never = Interrupt::default();
        let first = turns.wait(&never).unwrap();
        thread::scope(|scope| {
            for number in 0..8 {
                let (turns, never) = (&turns, &never);
                scope.spawn(move || turns.wait(never).unwrap().push(number));
                while waiting(turns) <= number as usize {
                    thread::yield_now();
                }
            }
            drop(first);
        });
        assert!(turns.wait(&never).unwrap().iter().copied().eq(0..8));
    }

    #[test]
    fn a_thread_that_uses_the_value_all_the_time_lets_others_have_turns() {
        let turns = Turns::new(Vec::new());
        let never = Interrupt::default();
        let use_it = |number| {
            for _ in 0..5 {
                let mut turn = turns.wait(&never).unwrap();
                thread::sleep(SOON);
                turn.push(number);
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| use_it(1));
            scope.spawn(|| use_it(2));
        });
        let order = turns.wait(&never).unwrap().clone();
        let is_twice = |pair: &[u32]| pair[0] == pair[1];
        // The first may have two turns before the second asks, and the last ones of the other are alone.
        assert!(order.windows(2).filter(|pair| is_twice(pair)).count() <= 2, "{order:?}");
    }

    #[test]
    fn an_interrupt_ends_the_wait_and_the_next_one_has_the_turn() {
        let turns = Turns::new(Vec::new());
        let (never, interrupt) = (Interrupt::default(), Interrupt::default());
        let first = turns.wait(&never).unwrap();
        thread::scope(|scope| {
            let (sender, ended) = mpsc::channel();
            let (turns, never, interrupt) = (&turns, &never, &interrupt);
            scope.spawn(move || sender.send(turns.wait(interrupt).err()).unwrap());
            while waiting(turns) < 1 {
                thread::yield_now();
            }
            scope.spawn(move || turns.wait(never).unwrap().push(1));
            thread::sleep(SOON);
            let start = Instant::now();
            interrupt.set();
            let error = ended.recv_timeout(Duration::from_secs(10)).unwrap();
            assert!(matches!(error, Some(RunError::Interrupted)), "{error:?}");
            assert!(start.elapsed() < Duration::from_secs(1));
            drop(first);
        });
        assert_eq!(*turns.wait(&never).unwrap(), [1]);
    }

    #[test]
    fn a_set_interrupt_leaves_the_value_to_others() {
        let turns = Turns::new(Vec::new());
        let interrupt = Interrupt::default();
        interrupt.set();
        assert!(turns.wait(&interrupt).is_err());
        turns.wait(&Interrupt::default()).unwrap().push(1);
    }
}
