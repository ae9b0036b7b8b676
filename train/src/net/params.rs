// SPDX-License-Identifier: MIT OR Apache-2.0

//! The parameters of a network: what they are ([`Layout`]) and their values ([`Params`]).
//!
//! A network is a description without values, so that it can run with the trained weights and with their moving
//! average. All values of a network are in one flat tensor: the optimiser, the moving average, a checkpoint and an
//! all-reduce each handle a single tensor.

use std::sync::Arc;

use tch::{Device, Kind, Tensor, no_grad};

use super::init::InitType;

/// The index of an entry of a [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamId(usize);

/// The initial value of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// Drawn from the run's [`InitType`], times a factor.
    Weight(f64),
    /// The same, with this many consecutive output channels equal.
    Shuffled(f64, i64),
    /// N(1, 0.02) as published, so that no two channels of a normalisation are equal.
    Scale,
    /// This value.
    Constant(f64),
    /// This value, which is a statistic and not trained.
    Statistic(f64),
    /// From a file, and not trained; 0 before it is loaded.
    Pretrained,
    /// The binomial low-pass filter of a depthwise k×k kernel, which sums to 1, and not trained.
    Binomial,
    /// The power iteration's estimate of the left singular vector of a weight's largest singular value; not
    /// trained.
    Singular(ParamId),
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

    /// Whether it is a weight, and not a statistic.
    fn is_weight(&self) -> bool {
        self.is_trained() || matches!(self.start, Start::Pretrained | Start::Binomial)
    }

    fn is_trained(&self) -> bool {
        matches!(
            self.start,
            Start::Weight(_) | Start::Shuffled(..) | Start::Scale | Start::Constant(_)
        )
    }

    /// The parameter as a view of the flat tensor. Kernels are O×kH×kW×I in memory, so that libtorch runs the
    /// convolutions channels-last, the fastest memory format for all networks here.
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

/// Names, shapes and initial values of a network's parameters.
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

    /// Makes the weight `id`, out×…, be divided by its largest singular value.
    pub fn normalise(&mut self, id: ParamId) {
        let weight = &self.entries[id.0];
        let (name, outs) = (format!("{}.singular", weight.name), weight.shape[0]);
        self.add(name, &[outs], Start::Singular(id));
    }

    /// The indices of each normalised weight and of its singular vector.
    fn singular(&self) -> impl Iterator<Item = (usize, usize)> {
        let of = |(place, entry): (usize, &Entry)| match entry.start {
            Start::Singular(weight) => Some((weight.0, place)),
            _ => None,
        };
        self.entries.iter().enumerate().filter_map(of)
    }

    /// Whether the name of a trained parameter starts with `begin`.
    pub fn has(&self, begin: &str) -> bool {
        self.entries.iter().any(|e| e.is_trained() && e.name.starts_with(begin))
    }

    /// Number of values.
    pub fn numel(&self) -> i64 {
        self.entries.last().map_or(0, |e| e.offset + e.numel())
    }

    /// Number of weights, without statistics.
    pub fn weights(&self) -> i64 {
        self.entries.iter().filter(|e| e.is_weight()).map(Entry::numel).sum()
    }

    /// All parameters.
    pub fn ids(&self) -> impl Iterator<Item = ParamId> + use<> {
        (0..self.entries.len()).map(ParamId)
    }

    /// What a parameter is called.
    pub fn name(&self, id: ParamId) -> &str {
        &self.entries[id.0].name
    }

    /// Copies the parameters that both layouts have, with the same name and shape, from the flat `values` of this
    /// layout to the flat `others` of the other.
    pub fn transfer(&self, values: &Tensor, other: &Self, others: &Tensor) {
        for to in &other.entries {
            let same = |e: &&Entry| e.name == to.name && e.shape == to.shape;
            if let Some(from) = self.entries.iter().find(same) {
                no_grad(|| to.view(others).copy_(&from.view(values)));
            }
        }
    }

    /// Name and shape of every parameter, one per line: equal text means equal architecture.
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
    /// A view of each parameter; the trained ones require gradients.
    views: Vec<Tensor>,
    /// Whether each value of `flat` is trained, with [`Params::learn_only`].
    trained: Option<Tensor>,
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
                    Start::Shuffled(factor, alike) => {
                        let mut shape = entry.shape.clone();
                        shape[0] /= alike;
                        let drawn = init.draw(&shape, gain) * factor;
                        view.copy_(&drawn.repeat_interleave_self_int(alike, 0, None));
                    }
                    Start::Scale => {
                        view.copy_(&(InitType::Normal.draw(&entry.shape, 0.02) + 1.0));
                    }
                    Start::Constant(value) | Start::Statistic(value) => {
                        let _ = view.fill_(value);
                    }
                    Start::Pretrained => {
                        let _ = view.zero_();
                    }
                    Start::Binomial => view.copy_(&binomial(entry.shape[2])),
                    Start::Singular(_) => {
                        view.copy_(&unit(&InitType::Normal.draw(&entry.shape, 1.0)));
                    }
                }
            }
        });
        let params = Self::from_flat(layout, flat);
        (0..FIRST_ITERATIONS).for_each(|_| params.iterate_power());
        params
    }

    /// One power iteration of the singular vectors: u ← Wv/‖Wv‖, v = Wᵀu/‖Wᵀu‖. No backward pass that still has to
    /// run may have read them.
    pub fn iterate_power(&self) {
        no_grad(|| {
            for (weight, place) in self.layout.singular() {
                let matrix = matrix(&self.views[weight]);
                let mut u = self.views[place].shallow_clone();
                let v = unit(&matrix.tr().mv(&u));
                u.copy_(&unit(&matrix.mv(&v)));
            }
        });
    }

    /// The same network with other values, for example a moving average; shares memory with `flat`.
    pub fn from_flat(layout: &Layout, flat: Tensor) -> Self {
        let view = |e: &Entry| e.view(&flat).detach().set_requires_grad(e.is_trained());
        let views = layout.entries.iter().map(view).collect();
        Self { layout: Arc::new(layout.clone()), flat, views, trained: None }
    }

    /// The layout of the values.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All values, a vector.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// Sets each parameter to `value(name)`.
    pub fn fill<E>(&self, mut value: impl FnMut(&str) -> Result<Tensor, E>) -> Result<(), E> {
        for entry in &self.layout.entries {
            let value = value(&entry.name)?;
            no_grad(|| entry.view(&self.flat).copy_(&value));
        }
        Ok(())
    }

    /// Sets the statistics, in the order of the layout.
    pub fn set_statistics(&self, values: &[Tensor]) {
        let is_statistic = |e: &&Entry| matches!(e.start, Start::Statistic(_));
        let statistics = self.layout.entries.iter().filter(is_statistic);
        for (entry, value) in statistics.zip(values) {
            no_grad(|| entry.view(&self.flat).copy_(value));
        }
    }

    /// A parameter by its name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        let place = self.layout.entries.iter().position(|e| e.name == name)?;
        self.views.get(place)
    }

    /// Trains only the parameters whose names start with one of `begins`; all of them if it is empty.
    pub fn learn_only(&mut self, begins: &[String]) {
        let learns =
            |e: &Entry| begins.is_empty() || begins.iter().any(|begin| e.name.starts_with(begin));
        for (view, entry) in self.views.iter_mut().zip(&self.layout.entries) {
            *view = view.set_requires_grad(entry.is_trained() && learns(entry));
        }
        let trained = |(e, view): (&Entry, &Tensor)| {
            Tensor::full(
                [e.numel()],
                i64::from(view.requires_grad()),
                (Kind::Bool, self.flat.device()),
            )
        };
        let all = self.layout.entries.iter().zip(&self.views).map(trained);
        self.trained = (!begins.is_empty()).then(|| Tensor::cat(&all.collect::<Vec<_>>(), 0));
    }

    /// Whether each value of [`Params::flat`] is trained; `None` unless some were excluded by
    /// [`Params::learn_only`].
    pub fn trained(&self) -> Option<&Tensor> {
        self.trained.as_ref()
    }

    /// The leaf tensors that require gradients.
    pub fn leaves(&self) -> Vec<&Tensor> {
        self.views.iter().filter(|view| view.requires_grad()).collect()
    }

    /// Gradients of [`Params::leaves`] as a vector like [`Params::flat`], with 0 for parameters that are not trained and
    /// for leaves that the graph does not reach.
    pub fn flatten(&self, gradients: &[Tensor]) -> Tensor {
        let mut gradients = gradients.iter();
        let flat = |(e, view): (&Entry, &Tensor)| match view
            .requires_grad()
            .then(|| gradients.next())
            .flatten()
        {
            Some(gradient) if gradient.defined() => e.flatten(gradient),
            _ => Tensor::zeros([e.numel()], (Kind::Float, self.flat.device())),
        };
        let flat: Vec<Tensor> = self.layout.entries.iter().zip(&self.views).map(flat).collect();
        Tensor::cat(&flat, 0)
    }

    /// The weights for a forward pass in `kind`; gradients flow back to the leaves.
    pub fn weights(&self, kind: Kind) -> Weights {
        let ready = |(view, entry): (&Tensor, &Entry)| match entry.is_weight() {
            true => view.to_kind(kind),
            // A forward pass updates statistics in place, so these must not be copies.
            false => view.shallow_clone(),
        };
        let mut values: Vec<Tensor> =
            self.views.iter().zip(&self.layout.entries).map(ready).collect();
        for (weight, place) in self.layout.singular() {
            let view = &self.views[weight];
            values[weight] = (view / largest_singular(view, &self.views[place])).to_kind(kind);
        }
        Weights { layout: self.layout.clone(), values }
    }
}

/// Number of power iterations for a new singular vector.
const FIRST_ITERATIONS: usize = 15;

/// A convolution's weight as a matrix, out×rest.
fn matrix(weight: &Tensor) -> Tensor {
    weight.flatten(1, -1)
}

/// σ = uᵀWv with v = Wᵀu/‖Wᵀu‖, differentiated only with respect to W.
fn largest_singular(weight: &Tensor, u: &Tensor) -> Tensor {
    let matrix = matrix(weight);
    let v = no_grad(|| unit(&matrix.tr().mv(u)));
    u.dot(&matrix.mv(&v))
}

fn unit(vector: &Tensor) -> Tensor {
    vector / vector.norm().clamp_min(1e-12)
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
        self.layout.name(id)
    }

    /// Replaces a value.
    pub fn replace(&mut self, id: ParamId, value: Tensor) {
        self.values[id.0] = value;
    }

    /// Adds a value.
    pub fn push(&mut self, name: String, value: Tensor) -> ParamId {
        self.values.push(value);
        let shape = self.values[self.values.len() - 1].size();
        Arc::make_mut(&mut self.layout).add(name, &shape, Start::Constant(0.0))
    }
}

impl std::ops::Index<ParamId> for Weights {
    type Output = Tensor;

    fn index(&self, id: ParamId) -> &Tensor {
        &self.values[id.0]
    }
}

/// The outer product of a row of Pascal's triangle with itself, normalised to a sum of 1.
fn binomial(side: i64) -> Tensor {
    let mut row = vec![1.0f32];
    while (row.len() as i64) < side {
        let pairs = row.windows(2).map(|pair| pair[0] + pair[1]);
        row = [1.0].into_iter().chain(pairs).chain([1.0]).collect();
    }
    let sum: f32 = row.iter().sum();
    let row = Tensor::from_slice(&row) / f64::from(sum);
    row.outer(&row)
}
