// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sessions shared by all filters of a process that run the same model with the same options.

use std::{
    collections::HashMap,
    hash::Hash,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
};

use cyclegan_contract::ContractError;

use super::{
    error::LoadError, lock::lock, provider::ProviderOptions, session::Generator, stamp::Stamp,
    target::Target,
};

/// The key of a shared session: the unchanged file and the options. [`Generator::is_current`] also
/// checks the external data.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    path: PathBuf,
    stamp: Stamp,
    target: Target,
    options: ProviderOptions,
}

/// The generators in use.
static GENERATORS: LazyLock<Shared<Key, Generator, LoadError>> = LazyLock::new(Shared::default);

/// The generator at `path`; loads it unless a filter of the process already holds it.
///
/// If another thread is loading the generator, the call waits for it and returns the same generator or
/// error. Other generators do not wait. A caller that must not wait can call this in a thread and
/// abandon it: the load continues, and the next caller gets its result.
pub fn open(
    path: &Path,
    target: Target,
    options: &ProviderOptions,
) -> Result<Arc<Generator>, LoadError> {
    let unreadable = |error| LoadError::Contract {
        path: path.to_path_buf(),
        source: Arc::new(ContractError::Unreadable(error)),
    };
    let key = Key {
        path: path.canonicalize().map_err(unreadable)?,
        stamp: Stamp::of(path).map_err(unreadable)?,
        target,
        options: options.clone(),
    };
    let load = || Generator::open(path, target, options).map(Arc::new);
    GENERATORS.get(&key, Generator::is_current, load)
}

/// Values by key. Each is created once and kept while it is in use.
struct Shared<K, T, E> {
    /// Locked only for look-ups.
    entries: Mutex<HashMap<K, Entry<T, E>>>,
}

enum Entry<T, E> {
    Ready(Weak<T>),
    Loading(Arc<Load<T, E>>),
}

/// A load in progress, and its result for the threads that wait for it.
struct Load<T, E> {
    result: Mutex<Progress<T, E>>,
    is_done: Condvar,
}

enum Progress<T, E> {
    Running,
    Done(Result<Arc<T>, E>),
    /// The thread panicked.
    Abandoned,
}

impl<K, T, E> Default for Shared<K, T, E> {
    fn default() -> Self {
        Self { entries: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash, T, E: Clone> Shared<K, T, E> {
    /// The value of `key`: the one in use if it `is_current`, the one that another thread is loading, or
    /// the result of `load`.
    fn get(
        &self,
        key: &K,
        is_current: impl Fn(&T) -> bool,
        load: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E> {
        let mut outdated = None;
        loop {
            let entries = lock(&self.entries);
            let other = match entries.get(key) {
                Some(Entry::Loading(other)) => other.clone(),
                Some(Entry::Ready(value)) => match value.upgrade() {
                    Some(value) if outdated != Some(Arc::as_ptr(&value)) => {
                        drop(entries);
                        if is_current(&value) {
                            return Ok(value);
                        }
                        outdated = Some(Arc::as_ptr(&value));
                        continue;
                    }
                    _ => break self.load(key, entries, load),
                },
                None => break self.load(key, entries, load),
            };
            drop(entries);
            if let Some(result) = other.wait() {
                return result;
            }
        }
    }

    fn load(
        &self,
        key: &K,
        mut entries: MutexGuard<'_, HashMap<K, Entry<T, E>>>,
        load: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E> {
        entries.retain(|_, entry| match entry {
            Entry::Ready(value) => value.strong_count() > 0,
            Entry::Loading(_) => true,
        });
        let progress =
            Arc::new(Load { result: Mutex::new(Progress::Running), is_done: Condvar::new() });
        entries.insert(key.clone(), Entry::Loading(progress.clone()));
        drop(entries);

        let mut finish = Finish { shared: self, key, progress, result: None };
        let result = load();
        finish.result = Some(result.clone());
        result
    }
}

/// Ends a load when it goes out of scope, including by a panic.
struct Finish<'a, K: Eq + Hash, T, E> {
    shared: &'a Shared<K, T, E>,
    key: &'a K,
    progress: Arc<Load<T, E>>,
    result: Option<Result<Arc<T>, E>>,
}

impl<K: Eq + Hash, T, E> Drop for Finish<'_, K, T, E> {
    fn drop(&mut self) {
        let mut entries = lock(&self.shared.entries);
        match (&self.result, entries.get_mut(self.key)) {
            (Some(Ok(value)), Some(entry)) => *entry = Entry::Ready(Arc::downgrade(value)),
            _ => drop(entries.remove(self.key)),
        }
        drop(entries);
        *lock(&self.progress.result) = match self.result.take() {
            Some(result) => Progress::Done(result),
            None => Progress::Abandoned,
        };
        self.progress.is_done.notify_all();
    }
}

impl<T, E: Clone> Load<T, E> {
    /// Waits for the result; `None` if the loading thread has panicked.
    fn wait(&self) -> Option<Result<Arc<T>, E>> {
        let is_running = |progress: &mut Progress<T, E>| matches!(progress, Progress::Running);
        let progress = self.is_done.wait_while(lock(&self.result), is_running);
        match &*progress.unwrap_or_else(PoisonError::into_inner) {
            Progress::Done(result) => Some(result.clone()),
            Progress::Running | Progress::Abandoned => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        thread,
        time::Duration,
    };

    use super::*;

    type Values = Shared<&'static str, u32, String>;

    const SOON: Duration = Duration::from_millis(50);

    #[test]
    fn a_load_does_not_block_other_keys() {
        let values = Values::default();
        let (started, has_started) = mpsc::channel();
        let (release, is_released) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let values = &values;
            scope.spawn(move || {
                let load = || {
                    started.send(()).unwrap();
                    is_released.recv().unwrap();
                    Ok(Arc::new(1))
                };
                assert_eq!(*values.get(&"slow", |_| true, load).unwrap(), 1);
            });
            has_started.recv().unwrap();
            let (sender, quick) = mpsc::channel();
            scope.spawn(move || {
                let value = values.get(&"quick", |_| true, || Ok(Arc::new(2)));
                sender.send(*value.unwrap()).unwrap();
            });
            let quick = quick.recv_timeout(Duration::from_secs(10));
            release.send(()).unwrap();
            assert_eq!(quick, Ok(2));
        });
    }

    /// The results of four threads that ask for one value at once, and the number of loads.
    fn four_at_once(result: Result<u32, &str>) -> (Vec<Result<Arc<u32>, String>>, usize) {
        let values = Values::default();
        let loads = AtomicUsize::new(0);
        let load = || {
            loads.fetch_add(1, Ordering::SeqCst);
            thread::sleep(SOON);
            result.map(Arc::new).map_err(str::to_owned)
        };
        let barrier = std::sync::Barrier::new(4);
        let ask = || {
            barrier.wait();
            values.get(&"one", |_| true, load)
        };
        let results = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        (results, loads.into_inner())
    }

    #[test]
    fn callers_of_one_key_share_the_result() {
        let (values, loads) = four_at_once(Ok(1));
        assert_eq!(loads, 1);
        let first = values[0].clone().unwrap();
        assert!(values.into_iter().all(|value| Arc::ptr_eq(&value.unwrap(), &first)));
    }

    #[test]
    fn callers_of_one_key_share_the_error() {
        let (errors, loads) = four_at_once(Err("no memory"));
        assert_eq!(loads, 1);
        assert!(errors.into_iter().all(|error| error.unwrap_err() == "no memory"));
    }

    #[test]
    fn a_failed_load_is_tried_again() {
        let values = Values::default();
        assert!(values.get(&"one", |_| true, || Err("not yet".to_owned())).is_err());
        assert_eq!(*values.get(&"one", |_| true, || Ok(Arc::new(3))).unwrap(), 3);
    }

    #[test]
    fn a_panicking_load_does_not_block_its_waiters() {
        let values = Values::default();
        let (started, has_started) = mpsc::channel();
        thread::scope(|scope| {
            let first = scope.spawn(|| {
                let load = || {
                    started.send(()).unwrap();
                    thread::sleep(SOON);
                    panic!("a load that panics, for a test");
                };
                values.get(&"one", |_| true, load)
            });
            has_started.recv().unwrap();
            let second = values.get(&"one", |_| true, || Ok(Arc::new(2)));
            assert_eq!(*second.unwrap(), 2);
            assert!(first.join().is_err());
        });
    }

    #[test]
    fn a_value_is_shared_while_it_is_in_use_and_current() {
        let values = Values::default();
        let get = |is_current: bool, value| {
            values.get(&"one", |_| is_current, || Ok(Arc::new(value))).unwrap()
        };
        let first = get(true, 1);
        assert!(Arc::ptr_eq(&first, &get(true, 2)));
        let second = get(false, 2);
        assert_eq!((*first, *second), (1, 2));
        assert!(Arc::ptr_eq(&second, &get(true, 3)));
        drop((first, second));
        assert_eq!(*get(true, 4), 4);
    }
}
