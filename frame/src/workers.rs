// SPDX-License-Identifier: MIT OR Apache-2.0

//! Threads that stay, for work on bands of rows.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use rayon_core::{ThreadPool, ThreadPoolBuilder};

/// Threads that share the rows of a picture with the one that asks. They wait parked between two
/// pictures, and all users in a process that ask for as many share them.
#[derive(Clone, Debug)]
pub struct Workers {
    threads: usize,
    /// One thread less than `threads`: the one that asks works too.
    pool: Option<Arc<ThreadPool>>,
}

/// The pools in use, by their number of threads.
static POOLS: LazyLock<Mutex<HashMap<usize, Weak<ThreadPool>>>> = LazyLock::new(Mutex::default);

impl Workers {
    /// `threads` threads with the caller's, or as many as there are cores for 0.
    ///
    /// # Errors
    /// Where the system starts no more threads.
    pub fn new(threads: u32) -> Result<Self, gst::glib::BoolError> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads as usize,
        };
        let pool = (threads > 1).then(|| shared_pool(threads - 1)).transpose()?;
        Ok(Self { threads, pool })
    }

    /// How many bands to divide `samples` into: one for each thread, but none so small that handing
    /// it over costs more than its work.
    pub fn bands(&self, samples: usize) -> usize {
        const LEAST: usize = 128 * 1024;
        (samples / LEAST).clamp(1, self.threads)
    }

    /// Runs `work` on each state and its share of `data`, the first on the caller's thread.
    ///
    /// `split` takes what belongs to band `i`, which is the first of what is left, off the data.
    pub fn in_bands<S: Send, D: Send>(
        &self,
        states: &mut [S],
        data: D,
        split: impl Fn(D, usize) -> (D, D),
        work: impl Fn(&mut S, D) + Sync,
    ) {
        let work = &work;
        match (&self.pool, states) {
            (_, []) => {}
            (_, [state]) => work(state, split(data, 0).0),
            (None, states) => {
                let mut left = data;
                for (i, state) in states.iter_mut().enumerate() {
                    let band;
                    (band, left) = split(left, i);
                    work(state, band);
                }
            }
            (Some(pool), [first, others @ ..]) => {
                let (own, mut left) = split(data, 0);
                pool.in_place_scope(|scope| {
                    for (i, state) in others.iter_mut().enumerate() {
                        let band;
                        (band, left) = split(left, i + 1);
                        scope.spawn(move |_| work(state, band));
                    }
                    work(first, own);
                });
            }
        }
    }
}

fn shared_pool(threads: usize) -> Result<Arc<ThreadPool>, gst::glib::BoolError> {
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = pools.get(&threads).and_then(Weak::upgrade) {
        return Ok(pool);
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("cyclegan-rows{i}"))
        .build()
        .map_err(|error| gst::glib::bool_error!("cannot start {threads} threads: {error}"))?;
    let pool = Arc::new(pool);
    pools.insert(threads, Arc::downgrade(&pool));
    Ok(pool)
}
