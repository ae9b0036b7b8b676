// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ready files of `examples/cluster`: the Slurm one runs for real, on a cluster of this machine.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

mod common;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{
    Place, generators, load_plugin,
    media::{make_clip, tracks},
    skip::{is_slow_wanted, say_skipped},
};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/cluster");
const CLIPS: usize = 16;

#[test]
fn the_kubernetes_job_tells_as_many_shares_as_it_has_pods() {
    let job = fs::read_to_string(Path::new(EXAMPLES).join("kubernetes-job.yaml")).unwrap();
    let after = |key: &str| {
        let rest = job.split(key).nth(1).unwrap_or_else(|| panic!("no {key}"));
        rest.split_whitespace().next().unwrap().trim_matches('"').to_owned()
    };
    assert_eq!(after("completionMode:"), "Indexed");
    assert_eq!(after("CYCLEGAN_BATCH_SHARDS\n              value:"), after("completions:"));
}

/// A Slurm of one node, with its daemons on loopback.
struct Slurm {
    folder: PathBuf,
    daemons: Vec<Child>,
}

impl Slurm {
    fn start(folder: PathBuf) -> Self {
        for name in ["state", "spool"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::write(folder.join("munge.key"), [7; 1024]).unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder.join("munge.key"), fs::Permissions::from_mode(0o600)).unwrap();
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        let at = folder.display();
        let (controller, node) = (free_port(), free_port());
        let user = user.trim();
        fs::write(
            folder.join("slurm.conf"),
            format!(
                "ClusterName=test\nSlurmctldHost=localhost(127.0.0.1)\nAuthType=auth/munge\n\
                 AuthInfo=socket={at}/munge.socket\nCredType=cred/munge\nSlurmUser={user}\n\
                 SlurmdUser={user}\nStateSaveLocation={at}/state\nSlurmdSpoolDir={at}/spool\n\
                 SlurmctldPidFile={at}/slurmctld.pid\nSlurmdPidFile={at}/slurmd.pid\n\
                 SlurmctldPort={controller}\nSlurmdPort={node}\nProctrackType=proctrack/linuxproc\n\
                 TaskPlugin=task/none\nSlurmdParameters=config_overrides\nSelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\n\
                 ReturnToService=2\nMpiDefault=none\nSwitchType=switch/none\n\
                 NodeName=localhost NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN\n\
                 PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
            ),
        )
        .unwrap();
        let mut slurm = Self { folder, daemons: Vec::new() };
        let own = |name: &str| format!("{}/{name}", slurm.folder.display());
        let munge = [
            "--foreground".to_owned(),
            "--force".to_owned(),
            format!("--socket={}", own("munge.socket")),
            format!("--key-file={}", own("munge.key")),
            format!("--pid-file={}", own("munge.pid")),
            format!("--log-file={}", own("munge.log")),
            format!("--seed-file={}", own("munge.seed")),
        ];
        let conf = own("slurm.conf");
        slurm.daemon("munged", &munge.each_ref().map(String::as_str));
        slurm.wait_for("munge", |slurm| slurm.folder.join("munge.socket").exists());
        slurm.daemon("slurmctld", &["-D", "-i", "-f", &conf]);
        slurm.daemon("slurmd", &["-D", "-N", "localhost", "-f", &conf]);
        slurm.wait_for("an idle node", |slurm| {
            slurm.ask("sinfo", &["-h", "-o", "%T"]).starts_with("idle")
        });
        slurm
    }

    fn daemon(&mut self, name: &str, arguments: &[&str]) {
        let log = fs::File::create(self.folder.join(format!("{name}.out"))).unwrap();
        let mut command = Command::new(format!("/usr/sbin/{name}"));
        command.args(arguments).stdout(log.try_clone().unwrap()).stderr(log);
        self.daemons.push(command.spawn().unwrap());
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("SLURM_CONF", self.folder.join("slurm.conf"));
        command
    }

    fn ask(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.command(name).args(arguments).output().unwrap();
        common::text(&output)
    }

    fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let since = Instant::now();
        while !is_so(self) {
            assert!(
                since.elapsed() < Duration::from_secs(240),
                "not within four minutes: {what}: {}",
                self.logs()
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn logs(&self) -> String {
        let logs = ["slurmctld.out", "slurmd.out", "munged.out"].map(|log| self.folder.join(log));
        logs.iter().filter_map(|log| fs::read_to_string(log).ok()).collect()
    }

    fn states(&self) -> String {
        self.ask("squeue", &["-h", "-r", "-o", "%i %T"])
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            let _ = Command::new("kill").arg(daemon.id().to_string()).status();
            let _ = daemon.wait();
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_slurm_array_translates_a_folder_though_a_task_is_killed() {
    if !is_slow_wanted("running a Slurm array") {
        return;
    }
    if !["slurmctld", "slurmd", "munged"]
        .iter()
        .all(|name| Path::new("/usr/sbin").join(name).exists())
    {
        return say_skipped(
            "SKIP: no slurmctld, slurmd and munged; on Debian: apt-get install slurm-wlm munge",
        );
    }
    let place = Place::new();
    place.generator(&generators::slow_invert(6));
    make_clip(&place.path("in/0.mp4"), 50, 25);
    for number in 1..CLIPS {
        fs::copy(place.path("in/0.mp4"), place.path(format!("in/{number}.mp4"))).unwrap();
    }
    let slurm = Slurm::start(place.path("slurm"));
    let programs = Path::new(env!("CARGO_BIN_EXE_cyclegan-batch")).parent().unwrap();
    let mut submit = slurm.command("sbatch");
    load_plugin(&mut submit);
    let paths = std::env::var("PATH").unwrap();
    let submitted = submit
        .current_dir(place.path(""))
        .env("PATH", format!("{}:{paths}", programs.display()))
        .args(["--parsable", "--cpus-per-task=1"])
        .arg(Path::new(EXAMPLES).join("slurm.sbatch"))
        .args(["in", "--out", "out", "--model", "model.onnx", "--jobs", "1"])
        .args(["--filter", "inference-size=128"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(submitted.status.success(), "{}", common::text(&submitted));
    let job = String::from_utf8(submitted.stdout).unwrap().trim().to_owned();

    // One task is killed in the middle of its work, as a node does that fails, and queued again.
    let victim = format!("{job}_2");
    slurm.wait_for("running task", |slurm| slurm.states().contains(&format!("{victim} RUNNING")));
    slurm.wait_for("work in the outputs", |_| place.out(".cyclegan-batch").is_dir());
    let requeued = slurm.ask("scontrol", &["requeue", &victim]);
    assert_eq!(requeued, "", "{requeued}");
    // Slurm would wait for two minutes.
    slurm.wait_for("task that is queued again", |slurm| {
        slurm.states().contains(&format!("{victim} PENDING"))
    });
    slurm.ask("scontrol", &["update", &format!("jobid={victim}"), "StartTime=now"]);
    slurm.wait_for("end of the array", |slurm| slurm.states().trim().is_empty());

    let log = |task: usize| {
        fs::read_to_string(place.path(format!("cyclegan-batch-{job}-{task}.log"))).unwrap()
    };
    let logs: Vec<String> = (1..=4).map(log).collect();
    assert_eq!(
        logs[1].matches("share 2/4: ").count(),
        2,
        "the second task was not begun twice: {}",
        logs[1]
    );
    for number in 0..CLIPS {
        let name = format!("{number}.mp4");
        let finished: usize =
            logs.iter().map(|log| log.matches(&format!("out/{name}: 50 frames")).count()).sum();
        assert_eq!(finished, 1, "{name} was translated {finished} times: {logs:?}");
        assert_eq!(tracks(&place.out(&name))[0].times.len(), 50);
    }
    assert!(logs.iter().all(|log| log.contains(", 0 failed")), "{logs:?}");
}
