// SPDX-License-Identifier: MIT OR Apache-2.0

//! A Slurm cluster of one node on this machine, for tests of cluster jobs.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::skip::say_skipped;

const DAEMONS: [&str; 3] = ["slurmctld", "slurmd", "munged"];

/// A Slurm cluster of one node, with its daemons on loopback.
pub struct Slurm {
    folder: PathBuf,
    daemons: Vec<Child>,
}

impl Slurm {
    /// Whether Slurm is installed; reports the test as skipped otherwise.
    pub fn is_installed() -> bool {
        let is_there = |name: &&str| Path::new("/usr/sbin").join(name).exists();
        let is_installed = DAEMONS.iter().all(is_there);
        if !is_installed {
            let daemons = DAEMONS.join(", ");
            say_skipped(&format!("SKIP: no {daemons}; on Debian: apt-get install slurm-wlm munge"));
        }
        is_installed
    }

    /// Starts a cluster with its files in `folder`, and waits until it accepts jobs.
    pub fn start(folder: PathBuf) -> Self {
        for name in ["state", "spool"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::write(folder.join("munge.key"), [7; 1024]).unwrap();
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

    /// The command of one of Slurm's tools.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("SLURM_CONF", self.folder.join("slurm.conf"));
        command
    }

    /// The standard output of one of Slurm's tools.
    pub fn ask(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.command(name).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Submits a job with `sbatch`; returns its number.
    pub fn submit(&self, sbatch: &mut Command) -> String {
        let submitted = sbatch.stdin(Stdio::null()).output().unwrap();
        let error = String::from_utf8_lossy(&submitted.stderr);
        assert!(submitted.status.success(), "{error}");
        String::from_utf8(submitted.stdout).unwrap().trim().to_owned()
    }

    /// Kills a running job (or a task of an array, such as `7_2`) as a failing node does, and starts it
    /// again.
    pub fn requeue(&self, job: &str) {
        let requeued = self.ask("scontrol", &["requeue", job]);
        assert_eq!(requeued, "", "{requeued}");
        // Slurm would wait for two minutes.
        self.wait_for("job that is queued again", |slurm| slurm.is(job, "PENDING"));
        self.ask("scontrol", &["update", &format!("jobid={job}"), "StartTime=now"]);
    }

    /// Whether a job is in `state`.
    pub fn is(&self, job: &str, state: &str) -> bool {
        self.state(job).as_deref() == Some(state)
    }

    /// The state of a job, unless it has ended.
    pub fn state(&self, job: &str) -> Option<String> {
        let states = self.states();
        let mut jobs = states.lines().filter_map(|line| line.split_once(' '));
        jobs.find(|(name, _)| *name == job).map(|(_, state)| state.trim().to_owned())
    }

    /// Waits until no job is left.
    pub fn wait_for_the_end(&self) {
        self.wait_for("end of all jobs", |slurm| slurm.states().trim().is_empty());
    }

    /// Waits until `is_so`, for at most four minutes; panics with `what` otherwise.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
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
