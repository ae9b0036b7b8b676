// SPDX-License-Identifier: MIT OR Apache-2.0

//! The optimiser.

use tch::{Tensor, no_grad};

/// Adam (arXiv 1412.6980, algorithm 1) over one flat vector. The binding's optimiser does not expose its
/// moments, without which a run could not resume exactly.
#[derive(Debug)]
pub struct Adam {
    beta1: f64,
    /// First moment.
    pub m: Tensor,
    /// Second moment.
    pub v: Tensor,
    /// Number of updates.
    pub t: i64,
}

const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;

impl Adam {
    /// For parameters of the shape of `flat`.
    pub fn new(flat: &Tensor, beta1: f64) -> Self {
        Self { beta1, m: flat.zeros_like(), v: flat.zeros_like(), t: 0 }
    }

    /// The same with given moments.
    pub fn with_moments(&self, m: Tensor, v: Tensor) -> Self {
        Self { m, v, ..*self }
    }

    /// One update of `flat` in place. Values that are not `trained` keep their moments too: old moments would move
    /// them even without a gradient.
    pub fn step(&mut self, flat: &Tensor, gradient: &Tensor, lr: f64, trained: Option<&Tensor>) {
        let Some(trained) = trained else {
            return self.step_all(flat, gradient, lr);
        };
        let before = [flat, &self.m, &self.v].map(Tensor::copy);
        self.step_all(flat, gradient, lr);
        for (now, before) in [flat, &self.m, &self.v].into_iter().zip(before) {
            no_grad(|| now.shallow_clone().copy_(&now.where_self(trained, &before)));
        }
    }

    fn step_all(&mut self, flat: &Tensor, gradient: &Tensor, lr: f64) {
        no_grad(|| {
            self.t += 1;
            let t = self.t as f64;
            let _ = self.m.lerp_(gradient, 1.0 - self.beta1);
            let _ = self.v.lerp_(&gradient.square(), 1.0 - BETA2);
            let bias1 = 1.0 - self.beta1.powf(t);
            let bias2 = 1.0 - BETA2.powf(t);
            // lr·(m/bias1)/(√(v/bias2) + ε) with the fewest passes over memory.
            let mut spread = self.v.sqrt();
            let _ = spread.g_add_scalar_(EPS * bias2.sqrt());
            let change = &self.m * (-lr * bias2.sqrt() / bias1);
            let _ = flat.shallow_clone().addcdiv_(&change, &spread);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference, one number at a time in float64.
    #[test]
    fn updates_match_the_paper() {
        let (beta1, lr) = (0.5, 0.1);
        let flat = Tensor::from_slice(&[1.0f32]);
        let mut adam = Adam::new(&flat, beta1);
        let (mut x, mut m, mut v) = (1.0f64, 0.0f64, 0.0f64);
        for t in 1..=20 {
            let gradient = (t as f64).sin() + x;
            adam.step(&flat, &Tensor::from_slice(&[gradient as f32]), lr, None);
            m = beta1 * m + (1.0 - beta1) * gradient;
            v = BETA2 * v + (1.0 - BETA2) * gradient * gradient;
            let (m_hat, v_hat) = (m / (1.0 - beta1.powi(t)), v / (1.0 - BETA2.powi(t)));
            x -= lr * m_hat / (v_hat.sqrt() + EPS);
            assert!((flat.double_value(&[0]) - x).abs() < 1e-5, "update {t}");
        }
    }
}
