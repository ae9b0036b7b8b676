// SPDX-License-Identifier: MIT OR Apache-2.0

//! Time and memory of a training iteration compared with the same in Python (`step.py`) with the same libtorch, on a
//! GPU if libtorch finds one. `./dev bench train` runs it; BENCH_PYTHON names a Python that has torch.
//!
//! Both sides are child processes that answer `NET SIZE BATCH STEPS` with seconds per iteration and peak memory. They
//! take turns, so that other load on the machine affects both.

use std::{
    env,
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use cyclegan_train::{
    cyclegan::CycleGan, data::batch::Batch, device, options::TrainOptions, ranks::Ranks,
};
use tch::{Cuda, Device, Kind, Tensor};

const CASES: [(&str, i64, usize); 4] =
    [("resnet_6blocks", 128, 8), ("fast", 128, 8), ("resnet_6blocks", 256, 3), ("fast", 256, 3)];
const ROUNDS: usize = 7;
const SERVE: &str = "CYCLEGAN_BENCH_SERVE";

fn main() -> Result<()> {
    let threads = std::thread::available_parallelism()?.get().to_string();
    if env::var_os(SERVE).is_some() {
        return serve(threads.parse()?);
    }
    let python = env::var("BENCH_PYTHON").context("BENCH_PYTHON names no Python with torch")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/step.py");
    let (device, place) = match device::pick("auto", 0, &Ranks::default())? {
        Device::Cpu => ("cpu", format!("{threads} threads")),
        device => ("cuda", format!("{device:?}")),
    };
    println!("A training iteration, batch 1, {place}, median of {ROUNDS} rounds\n");
    println!("| generator | size | ours ms | Python ms | ratio | ours MiB | Python MiB |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (net, size, steps) in CASES {
        let mut ours = Side::start(Command::new(env::current_exe()?).env(SERVE, "1"))?;
        let mut theirs = Side::start(Command::new(&python).args([script, &threads, device]))?;
        let question = format!("{net} {size} 1 {steps}");
        let (mut a, mut b) = (Vec::new(), Vec::new());
        // The first round warms up.
        for round in 0..=ROUNDS {
            let answers = (ours.ask(&question)?, theirs.ask(&question)?);
            if round > 0 {
                a.push(answers.0);
                b.push(answers.1);
            }
        }
        let (a, b) = (median(&mut a), median(&mut b));
        println!(
            "| {net} | {size} | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} |",
            a.0 * 1e3,
            b.0 * 1e3,
            a.0 / b.0,
            a.1,
            b.1
        );
    }
    Ok(())
}

/// Seconds per iteration and peak memory in MiB.
type Answer = (f64, f64);

fn median(answers: &mut [Answer]) -> Answer {
    answers.sort_by(|a, b| a.0.total_cmp(&b.0));
    let peak = answers.iter().map(|a| a.1).fold(0.0, f64::max);
    (answers[answers.len() / 2].0, peak)
}

struct Side {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Side {
    fn start(command: &mut Command) -> Result<Self> {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().with_context(|| format!("{command:?}"))?;
        let stdin = child.stdin.take().context("no pipe")?;
        let stdout = child.stdout.take().context("no pipe")?;
        Ok(Self { child, stdin, lines: BufReader::new(stdout).lines() })
    }

    fn ask(&mut self, question: &str) -> Result<Answer> {
        writeln!(self.stdin, "{question}")?;
        let line = self.lines.next().context("a side of the benchmark ended early")??;
        let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        ensure!(numbers.len() == 2, "answered `{line}`, expected two numbers");
        Ok((numbers[0], numbers[1]))
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(threads: u32) -> Result<()> {
    let device = device::pick("auto", threads, &Ranks::default())?;
    cyclegan_train::memory::keep_freed(device);
    let mut model = None;
    for line in std::io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let [net, size, batch, steps] = words[..] else {
            anyhow::bail!("asked `{line}`, expected NET SIZE BATCH STEPS");
        };
        let options = options(net)?;
        if model.is_none() {
            model = Some(CycleGan::new(&options, device)?);
        }
        let model = model.as_mut().context("no model")?;
        let shape = [batch.parse()?, 3, size.parse()?, size.parse()?];
        let noise = || {
            let images = Tensor::rand(shape, (Kind::Float, device)) * 2.0 - 1.0;
            Batch { images, ..Batch::default() }
        };
        let batches = [noise(), noise()];
        let (begin, steps) = (Instant::now(), steps.parse::<u32>()?);
        for _ in 0..steps {
            model.train_step(&batches, &options, 2e-4);
        }
        if let Device::Cuda(index) = device {
            Cuda::synchronize(index as i64);
        }
        println!("{} {}", begin.elapsed().as_secs_f64() / f64::from(steps), peak_memory()?);
    }
    Ok(())
}

/// The networks of `step.py`. The image pools of both sides are full after the first round, as pools of 50 are for
/// nearly all of a run.
fn options(net: &str) -> Result<TrainOptions> {
    Ok(TrainOptions {
        net_g: Some(clap::ValueEnum::from_str(net, false).map_err(anyhow::Error::msg)?),
        ngf: Some(if net == "fast" { 32 } else { 16 }),
        ema_half_life: 0.0,
        pool_size: Some(2),
        ..TrainOptions::default()
    })
}

/// The largest resident size so far, MiB.
fn peak_memory() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).context("no VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}
