//! The systemd unit that brings a switch back after a reboot.

use std::path::Path;

/// Text of a unit file that runs `exe args…` for an environment.
///
/// `KillMode=process` and `Restart=on-failure` let a newer binary take over:
/// the replaced process ends with success, which is no reason to start
/// another, and its successor is not killed with it.
pub fn unit_file(environment: &str, exe: &Path, args: &[&str]) -> String {
    let mut command = quote(&exe.to_string_lossy());
    for arg in args {
        command.push(' ');
        command.push_str(&quote(arg));
    }
    let environment: String = environment.chars().filter(|c| !c.is_control()).collect();
    let environment = environment.replace('%', "%%");
    format!(
        "[Unit]\n\
         Description=Plimsoll traffic switch for {environment}\n\
         After=network-online.target\n\
         Wants=network-online.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=exec\n\
         ExecStart={command}\n\
         Restart=on-failure\n\
         RestartSec=1\n\
         KillMode=process\n\
         KillSignal=SIGTERM\n\
         TimeoutStopSec=90\n\
         LimitNOFILE=1048576\n\
         NoNewPrivileges=yes\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}

/// One word of a command line by systemd.service(5), "Command lines".
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted.push_str("%%"),
            '$' => quoted.push_str("$$"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => {}
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_quoted_as_systemd_reads_it() {
        let unit = unit_file(
            "prod\n[Install]",
            Path::new("/opt/a b/plimsoll"),
            &["__switch", "--state", "/x%y$z\"\\"],
        );
        assert!(unit.contains("ExecStart=\"/opt/a b/plimsoll\" __switch --state \"/x%%y$$z\\\"\\\\\"\n"));
        assert!(unit.contains("Description=Plimsoll traffic switch for prod[Install]\n"));
        assert_eq!(unit.matches("\n[Install]\n").count(), 1);
    }
}
