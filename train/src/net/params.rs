// SPDX-License-Identifier: MIT OR Apache-2.0

//! The parameters of a network: what they are ([`Layout`]) and their values ([`Params`]).
//!
//! A network is a description without values, so that the trained weights and their moving average
//! run through the same one. All values of a network stand in one flat tensor: the optimiser, the
//! moving average, a checkpoint and an all-reduce each touch a single tensor.

use std::sync::Arc;

use tch::{Device, Kind, Tensor, no_grad};

use super::init::InitType;

/// Which entry of a [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamId(usize);

/// How a parameter begins.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// As the run's [`InitType`] says, times a factor.
    Weight(f64),
    /// This value.
    Constant(f64),
}

/// One parameter.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    shape: Vec<i64>,
    start: Start,
    offset: i64,
}

impl Entry {
    fn numel(&self) -> i64 {
        self.shape.iter().product()
    }

    /// The parameter as a view of the flat tensor. Kernels lie in memory as O×kH×kW×I, which makes
    /// libtorch run the convolutions channels-last.
    fn view(&self, flat: &Tensor) -> Tensor {
        let data = flat.narrow(0, self.offset, self.numel());
        match self.shape[..] {
            [o, i, h, w] => data.view([o, h, w, i]).permute([0, 3, 1, 2]),
            _ => data.view(&self.shape[..]),
        }
    }

    /// The inverse of [`Entry::view`] for a gradient.
    fn flatten(&self, tensor: &Tensor) -> Tensor {
        match self.shape[..] {
            [_, _, _, _] => tensor.permute([0, 2, 3, 1]).reshape([-1]),
            _ => tensor.reshape([-1]),
        }
    }
}

/// Names, shapes and starting values of a network's parameters.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    entries: Vec<Entry>,
}

impl Layout {
    /// Adds a parameter.
    pub fn add(&mut self, name: String, shape: &[i64], start: Start) -> ParamId {
        let offset = self.numel();
        self.entries.push(Entry { name, shape: shape.to_vec(), start, offset });
        ParamId(self.entries.len() - 1)
    }

    /// Number of weights.
    pub fn numel(&self) -> i64 {
        self.entries.last().map_or(0, |e| e.offset + e.numel())
    }

    /// Name and shape of every parameter, one a line: equal text is an equal architecture.
    pub fn signature(&self) -> String {
        let line = |e: &Entry| format!("{} {:?}\n", e.name, e.shape);
        self.entries.iter().map(line).collect()
    }
}

/// The values of a network's parameters, float32.
#[derive(Debug)]
pub struct Params {
    layout: Arc<Layout>,
    flat: Tensor,
    leaves: Vec<Tensor>,
}

impl Params {
    /// New values; libtorch's random state decides them.
    pub fn new(layout: &Layout, init: InitType, gain: f64, device: Device) -> Self {
        let flat = Tensor::zeros([layout.numel()], (Kind::Float, device));
        no_grad(|| {
            for entry in &layout.entries {
                let mut view = entry.view(&flat);
                match entry.start {
                    Start::Weight(factor) => {
                        view.copy_(&(init.draw(&entry.shape, gain) * factor));
                    }
                    Start::Constant(value) => {
                        let _ = view.fill_(value);
                    }
                }
            }
        });
        Self::from_flat(layout, flat)
    }

    /// The same network with other values, for example a moving average; shares memory with `flat`.
    pub fn from_flat(layout: &Layout, flat: Tensor) -> Self {
        let leaf = |e: &Entry| e.view(&flat).detach().set_requires_grad(true);
        let leaves = layout.entries.iter().map(leaf).collect();
        Self { layout: Arc::new(layout.clone()), flat, leaves }
    }

    /// What the values mean.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All values, a vector.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// Puts in the values that `value` gives for each parameter's name.
    pub fn fill<E>(&self, value: impl Fn(&str) -> Result<Tensor, E>) -> Result<(), E> {
        for entry in &self.layout.entries {
            let value = value(&entry.name)?;
            no_grad(|| entry.view(&self.flat).copy_(&value));
        }
        Ok(())
    }

    /// The tensors that gradients are taken for.
    pub fn leaves(&self) -> &[Tensor] {
        &self.leaves
    }

    /// Gradients of [`Params::leaves`] as a vector like [`Params::flat`].
    pub fn flatten(&self, gradients: &[Tensor]) -> Tensor {
        let pairs = self.layout.entries.iter().zip(gradients);
        let flat: Vec<Tensor> = pairs.map(|(e, g)| e.flatten(g)).collect();
        Tensor::cat(&flat, 0)
    }

    /// The weights in the arithmetic of a forward pass; a gradient flows back to the leaves.
    pub fn weights(&self, kind: Kind) -> Weights {
        let values = self.leaves.iter().map(|leaf| leaf.to_kind(kind)).collect();
        Weights { layout: self.layout.clone(), values }
    }
}

/// Weights ready for forward passes.
#[derive(Debug)]
pub struct Weights {
    layout: Arc<Layout>,
    values: Vec<Tensor>,
}

impl Weights {
    /// What a parameter is called.
    pub fn name(&self, id: ParamId) -> &str {
        &self.layout.entries[id.0].name
    }
}

impl std::ops::Index<ParamId> for Weights {
    type Output = Tensor;

    fn index(&self, id: ParamId) -> &Tensor {
        &self.values[id.0]
    }
}
