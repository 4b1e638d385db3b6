//! How much memory this process may still take: what the machine has left, and what its control groups leave.

use std::{fs, path::Path};

/// Bytes that the process may still take; `None` where the system does not tell (not Linux).
pub(super) fn bytes() -> Option<u64> {
    let machine = meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Some(control_groups(&groups, Path::new("/sys/fs/cgroup")).map_or(machine, |n| n.min(machine)))
}

/// `MemAvailable` of /proc/meminfo: what can be taken without swapping (proc(5)).
fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What the memory limits of the process's control groups leave, of version 2 and 1; `groups` is /proc/self/cgroup.
/// A limit may stand at any level above the group of the process.
fn control_groups(groups: &str, mount: &Path) -> Option<u64> {
    let mut least = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, files) = match controllers {
            "" => (mount.to_path_buf(), ["memory.max", "memory.current", "inactive_file"]),
            _ if controllers.split(',').any(|name| name == "memory") => (
                mount.join("memory"),
                ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"],
            ),
            _ => continue,
        };
        let group = root.join(path.trim_start_matches('/'));
        let levels = group.ancestors().take_while(|level| level.starts_with(&root));
        least = levels.filter_map(|level| left(level, files)).chain(least).min();
    }
    least
}

/// Limit minus use of one group. Cached files that nobody uses count as use, but give way.
fn left(group: &Path, [limit, current, inactive]: [&str; 3]) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    // "max" is no limit.
    let limit: u64 = read(limit)?.trim().parse().ok()?;
    let current: u64 = read(current)?.trim().parse().ok()?;
    let cached = read("memory.stat").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix(inactive))?;
        line.trim().parse::<u64>().ok()
    });
    Some(limit.saturating_sub(current.saturating_sub(cached.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells() {
        let text = "MemTotal:       24605092 kB\nMemFree:   1 kB\nMemAvailable:   23068672 kB\n";
        assert_eq!(meminfo(text), Some(22 << 30));
        assert_eq!(meminfo("MemTotal: 5 kB\n"), None);
        assert_eq!(meminfo("MemAvailable: many kB\n"), None);
        assert!(bytes().is_some_and(|n| n > 1 << 20));
    }

    #[test]
    fn the_narrowest_control_group_counts() {
        let mount = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = mount.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let found = |groups: &str| control_groups(groups, mount.path());
        assert_eq!(found("0::/job/step\n"), None);
        write("job/step/memory.max", "max\n");
        write("job/step/memory.current", "700\n");
        write("job/memory.max", "1000\n");
        write("job/memory.current", "700\n");
        assert_eq!(found("0::/job/step\n"), Some(300));
        write("job/memory.stat", "anon 450\ninactive_file 250\nactive_file 5\n");
        assert_eq!(found("0::/job/step\n"), Some(550));
        assert_eq!(found("0::/\n"), None);
        // Version 1, beside it.
        write("memory/a/memory.limit_in_bytes", "400\n");
        write("memory/a/memory.usage_in_bytes", "500\n");
        assert_eq!(found("5:cpu,memory:/a\n0::/job/step\n"), Some(0));
        assert_eq!(found("5:cpu:/a\n"), None);
        assert_eq!(found("nonsense\n"), None);
    }
}
