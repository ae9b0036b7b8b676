// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ranks: processes that train one model together. Without the feature `mpi`, or if the program was
//! not started by `mpirun`, there is only one.

use anyhow::Result;
#[cfg(feature = "mpi")]
use mpi::{
    collective::SystemOperation,
    environment::Universe,
    topology::SimpleCommunicator,
    traits::{Communicator, CommunicatorCollectives},
};
use tch::Tensor;

/// The variables that launchers set in each process.
#[cfg(feature = "mpi")]
const LAUNCHED: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"];

/// The variables with the number of processes.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// The number of processes that `mpirun` started.
pub fn launched() -> usize {
    let sizes = SIZES.iter().filter_map(|name| std::env::var(name).ok()?.parse().ok());
    sizes.max().unwrap_or(1)
}

/// Keeps MPI initialised.
pub struct Launch {
    #[cfg(feature = "mpi")]
    universe: Option<Universe>,
}

impl Launch {
    /// Joins the processes that `mpirun` or `srun` started with this one.
    #[cfg(feature = "mpi")]
    pub fn join() -> Result<Self> {
        use anyhow::Context;
        if !LAUNCHED.iter().any(|name| std::env::var_os(name).is_some()) {
            return Ok(Self { universe: None });
        }
        // Only the training thread communicates.
        let joined = mpi::initialize_with_threading(mpi::Threading::Funneled);
        let (universe, _) = joined.context("MPI is already initialised")?;
        Ok(Self { universe: Some(universe) })
    }

    /// Fails if `mpirun` started several processes, since each would train separately.
    #[cfg(not(feature = "mpi"))]
    pub fn join() -> Result<Self> {
        anyhow::ensure!(
            launched() == 1,
            "started by mpirun, but built without MPI; run `./dev setup mpi` and build with `MPI=1`"
        );
        Ok(Self {})
    }

    /// This process among the ranks.
    pub fn ranks(&self) -> Ranks {
        Ranks {
            #[cfg(feature = "mpi")]
            world: self.universe.as_ref().map(Universe::world),
        }
    }

    /// Finalises this rank; with an error of its own it ends all ranks, which would otherwise wait. A signal has
    /// stopped all of them.
    pub fn end(self, result: Result<()>) -> Result<()> {
        #[cfg(feature = "mpi")]
        if let (Some(universe), Err(error)) = (&self.universe, &result)
            && !error.is::<crate::interrupt::Interrupted>()
        {
            let world = universe.world();
            say_error!("error: {error:#} (process {} of {})", world.rank(), world.size());
            world.abort(1);
        }
        result
    }
}

/// This process among the ranks.
#[derive(Default)]
pub struct Ranks {
    #[cfg(feature = "mpi")]
    world: Option<SimpleCommunicator>,
}

impl Ranks {
    /// The rank, from 0; rank 0 writes the files.
    pub fn rank(&self) -> usize {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            return world.rank() as usize;
        }
        0
    }

    /// The number of ranks.
    pub fn count(&self) -> usize {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            return world.size() as usize;
        }
        1
    }

    /// The local rank on this machine, from 0, and the number of local ranks.
    pub fn on_this_machine(&self) -> (usize, usize) {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            let here = world.split_shared(world.rank());
            return (here.rank() as usize, here.size() as usize);
        }
        (0, 1)
    }

    /// The mean of a float32 vector over all ranks; every rank must call it.
    pub fn mean(&self, values: Tensor) -> Tensor {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            let mut own = vec![0f32; values.numel()];
            values.copy_data(&mut own, values.numel());
            let mut sum = own.clone();
            world.all_reduce_into(&own[..], &mut sum[..], SystemOperation::sum());
            return Tensor::from_slice(&sum).to_device(values.device()) / f64::from(world.size());
        }
        values
    }

    /// Whether the value is true on any rank; every rank must call it.
    pub fn any(&self, own: bool) -> bool {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            let mut all = 0i32;
            world.all_reduce_into(&i32::from(own), &mut all, SystemOperation::max());
            return all > 0;
        }
        own
    }
}

impl std::fmt::Debug for Ranks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ranks({} of {})", self.rank(), self.count())
    }
}
