// SPDX-License-Identifier: MIT OR Apache-2.0

//! A thread pool for bands of rows.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use rayon_core::{ThreadPool, ThreadPoolBuilder};

/// Threads that share the rows of an image with the caller. They are parked between images, and all users
/// of a process with the same number of threads share them.
#[derive(Clone, Debug)]
pub struct Workers {
    threads: usize,
    /// One thread less than `threads`: the caller works too.
    pool: Option<Arc<ThreadPool>>,
}

/// The pools in use, by their number of threads.
static POOLS: LazyLock<Mutex<HashMap<usize, Weak<ThreadPool>>>> = LazyLock::new(Mutex::default);

impl Workers {
    /// `threads` threads including the caller's, or one per core for 0.
    ///
    /// # Errors
    /// If the system cannot start more threads.
    pub fn new(threads: u32) -> Result<Self, gst::glib::BoolError> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads as usize,
        };
        let pool = (threads > 1).then(|| shared_pool(threads - 1)).transpose()?;
        Ok(Self { threads, pool })
    }

    /// Number of bands for `samples`: one per thread, but none so small that the handover costs more than
    /// the work.
    pub fn bands(&self, samples: usize) -> usize {
        const LEAST: usize = 128 * 1024;
        (samples / LEAST).clamp(1, self.threads)
    }

    /// Runs `work` on each state and its share of `data`, the first on the caller's thread.
    ///
    /// `split` splits the data of band `i`, the first of the remaining ones, off the data.
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
