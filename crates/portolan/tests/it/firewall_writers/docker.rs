//! Docker beside ufw: published, published on loopback, and an internal network.

use serde_json::Value;

use super::{HOST, NEAR, NEAR6, Probe, Scene, Shell, is_installed, tcp, ufw};
use crate::support::{Program, require_root, skip};

/// Docker with ufw, each with folders of its own, and what it leaves in the machine's cgroups.
struct Docker {
    shell: Shell,
    parent: String,
}

impl Drop for Docker {
    fn drop(&mut self) {
        let parent = &self.parent;
        let _ = self.shell.tries(&format!(
            "docker kill $(docker ps -q); for i in $(seq 20); do [ -z \"$(docker ps -q)\" ] && break; \
             sleep 0.1; done; find /sys/fs/cgroup -depth -type d -path '*/{parent}*' -exec rmdir {{}} +"
        ));
    }
}

fn start(scene: &Scene, options: &str) -> Result<Docker, String> {
    let mut shell = scene.shell(&format!("{CGROUPS} && {}", ufw::PROLOGUE));
    let parent = scene.host.name().to_owned();
    shell.does(&format!("export PARENT={parent}"));
    let mut docker = Docker { shell, parent };
    let shell = &mut docker.shell;
    shell.tries(&format!(
        "mkdir -p /run/docker data && export DOCKER_HOST=unix:///run/d.sock && \
         {{ dockerd -H $DOCKER_HOST --data-root $PWD/data --exec-root /run/docker \
           --pidfile /run/d.pid --cgroup-parent $PARENT --storage-driver vfs {options} >dockerd.log 2>&1 & }} && \
         for i in $(seq 150); do docker info >/dev/null 2>&1 && break; sleep 0.1; done; \
         docker info >/dev/null 2>&1 || {{ tail -3 dockerd.log; false; }}",
    ))?;
    shell.tries(
        "mkdir -p image/bin && cp $(command -v busybox) image/bin/ && \
         for library in $(ldd $(command -v busybox) | grep -o '/[^ ]*'); do cp --parents $library image; done; \
         tar -C image -c . | docker import - box && docker network create --internal inside",
    )?;
    Ok(docker)
}

/// sysfs of this network, with the machine's cgroups in their place.
const CGROUPS: &str = "mkdir cgroups && mount --rbind /sys/fs/cgroup cgroups && \
     mount -t sysfs sysfs /sys && mount --rbind cgroups /sys/fs/cgroup";

fn lacks() -> Option<&'static str> {
    ["dockerd", "docker", "busybox", "ufw"].into_iter().find(|program| !is_installed(program))
}

#[test]
fn what_docker_publishes_beside_ufw_is_told_as_packets_find_it() {
    require_root!();
    if let Some(program) = lacks() {
        skip!("{program} is not installed");
    }
    let scene = Scene::new();
    let mut docker = match start(&scene, "") {
        Ok(docker) => docker,
        Err(said) => skip!("dockerd does not start here: {}", said.replace('\n', " ")),
    };
    let shell = &mut docker.shell;
    for words in ["allow 22/tcp", "deny 8080"] {
        shell.does(&format!("ufw {words}"));
    }
    for words in [
        "--name published -p 8080:80",
        "--name near -p 127.0.0.1:8081:80",
        "--name inner --network inside -p 8082:80",
    ] {
        shell.does(&format!("docker run --rm -d {words} box /bin/busybox httpd -f -p 80 -h /"));
    }
    let _services = scene.services(&[22, 9999], &[]);
    let told = scene.agree(&[
        tcp(NEAR, 22, "accept"),
        // ufw denies it, and is never asked.
        tcp(NEAR, 8080, "accept"),
        // IPv6 goes through docker-proxy, and so past ufw.
        tcp(NEAR6, 8080, "drop"),
        tcp(NEAR, 8081, "drop"),
        tcp(NEAR, 8082, "drop"),
        tcp(NEAR, 9999, "drop"),
    ]);
    for told in &told {
        assert_eq!(told["depends_on"].as_array().map_or(0, Vec::len), 0, "{told:#}");
    }
    let decided = &told[1]["decided_by"];
    assert_eq!(decided["chain"], "DOCKER", "{decided}");
    straight_to_the_container(&scene, shell);
    reach_says_that_docker_goes_around_ufw(&scene);
    what_is_told_to_close_them_does(&scene, shell);
}

/// What `reach` tells to paste closes the published port, and what stands behind the one for this machine
/// alone; packets say so, and so does `reach`.
fn what_is_told_to_close_them_does(scene: &Scene, shell: &mut Shell) {
    let near = shell.does("docker inspect -f '{{.NetworkSettings.IPAddress}}' near");
    let behind: &'static str = near.leak();
    let straight = |expected| Probe { to: behind, ..tcp(NEAR, 80, expected) };
    for (port, open, closed) in [
        (8080, tcp(NEAR, 8080, "accept"), tcp(NEAR, 8080, "drop")),
        (8081, straight("accept"), straight("drop")),
    ] {
        let line = format!("reach {port}/tcp --from {NEAR} --json");
        let told = Program::line(&line).inside(&scene.host).run().json();
        let fixes = told["ports"][0]["fixes"].as_array().expect("fixes").clone();
        let commands = fixes.iter().filter_map(|fix| fix["command"].as_str());
        let pasted: Vec<&str> = commands.filter(|command| !command.starts_with('-')).collect();
        assert_eq!(pasted.len(), if port == 8080 { 3 } else { 1 }, "{told:#}");
        for command in pasted {
            scene.agree(&[open]);
            shell.does(command);
            scene.agree(&[closed]);
            shell.does(match command.starts_with("nft") {
                true => "nft delete table inet close_ports",
                false => "iptables -D DOCKER-USER 1",
            });
        }
    }
}

/// Somebody on the same link may send to a container's own address: Docker 20 lets what it publishes
/// pass, and isolates the network that is internal.
fn straight_to_the_container(scene: &Scene, shell: &mut Shell) {
    scene.outside.ip("route add 172.16.0.0/12 via 192.0.2.1");
    let mut probes = Vec::new();
    for (name, expected) in [("published", "accept"), ("inner", "drop")] {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = shell.does(&format!("docker inspect -f '{format}' {name}"));
        let to: &'static str = address.leak();
        probes.push(Probe { to, ..tcp(NEAR, 80, expected) });
        probes.push(Probe { to, ..tcp(NEAR, 81, "drop") });
    }
    scene.agree(&probes);
    neighbours_of_the_one_for_this_machine_alone(scene, shell);
}

/// What is published on 127.0.0.1 is told of as packets find it: not by the port, but by the container's
/// own address, for whoever is on the link.
fn neighbours_of_the_one_for_this_machine_alone(scene: &Scene, shell: &mut Shell) {
    let address = shell.does("docker inspect -f '{{.NetworkSettings.IPAddress}}' near");
    let told = |from: &str| {
        let line = format!("reach 8081/tcp --from {from} --json");
        let report = Program::line(&line).inside(&scene.host).run().json();
        let reach = &report["ports"][0]["reach"][0];
        (reach["answer"].clone(), reach["straight"][0]["taker"]["to"].clone())
    };
    let to: &'static str = address.leak();
    let probe = Probe { to, ..tcp(NEAR, 80, "accept") };
    scene.agree(&[probe]);
    assert_eq!(told(NEAR), ("no".into(), format!("{to}:80").into()));
}

fn reach_says_that_docker_goes_around_ufw(scene: &Scene) {
    let reach = |port: u16| -> Value {
        let line = format!("reach {port}/tcp --from {NEAR} --json");
        let ran = Program::line(&line).inside(&scene.host).run();
        ran.json()
    };
    let published = reach(8080);
    assert_eq!(published["bypass"], "docker-dnat", "{HOST}: {published:#}");
    assert_eq!(reach(22)["bypass"], Value::Null);
}

/// With IPv6 of its own Docker writes the same rules for both families, each with its loopback.
#[test]
fn what_docker_publishes_by_ip6tables_is_told_as_packets_find_it() {
    require_root!();
    if let Some(program) = lacks() {
        skip!("{program} is not installed");
    }
    let scene = Scene::new();
    let options = "--experimental --ipv6 --ip6tables --fixed-cidr-v6 fd0d::/64";
    let mut docker = match start(&scene, options) {
        Ok(docker) => docker,
        Err(said) => skip!("dockerd does not start here: {}", said.replace('\n', " ")),
    };
    let shell = &mut docker.shell;
    for words in ["allow 22/tcp", "deny 8080", "deny 8083"] {
        shell.does(&format!("ufw {words}"));
    }
    for words in [
        "--name both -p 8080:80",
        "--name four -p 192.0.2.1:8083:80",
        "--name six -p [2001:db8::1]:8084:80",
        "--name near -p 127.0.0.1:8081:80 -p [::1]:8081:80",
        "--name inner --network inside -p 8082:80",
        "--name range -p 8090-8091:80-81",
    ] {
        shell.does(&format!("docker run --rm -d {words} box /bin/busybox httpd -f -p 80 -h /"));
    }
    let _services = scene.services(&[22, 9999], &[]);
    let other = "192.0.2.66";
    scene.agree(&[
        tcp(NEAR, 22, "accept"),
        tcp(NEAR6, 22, "accept"),
        tcp(NEAR, 8080, "accept"),
        tcp(other, 8080, "accept"),
        tcp(NEAR6, 8080, "accept"),
        tcp(NEAR, 8083, "accept"),
        tcp(NEAR6, 8083, "drop"),
        tcp(NEAR, 8084, "drop"),
        tcp(NEAR6, 8084, "accept"),
        tcp(NEAR, 8081, "drop"),
        tcp(NEAR6, 8081, "drop"),
        tcp(NEAR, 8082, "drop"),
        tcp(NEAR6, 8082, "drop"),
        tcp(NEAR, 8090, "accept"),
        tcp(NEAR6, 8090, "accept"),
        tcp(NEAR, 9999, "drop"),
        tcp(NEAR6, 9999, "drop"),
    ]);
    let around = |port: u16, from: &str| {
        let line = format!("reach {port}/tcp --from {from} --json");
        Program::line(&line).inside(&scene.host).run().json()["bypass"].clone()
    };
    for (port, from) in [(8080, NEAR), (8080, NEAR6), (8083, NEAR), (8084, NEAR6)] {
        assert_eq!(around(port, from), "docker-dnat", "{port} from {from}");
    }
}
