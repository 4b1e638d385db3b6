//! The cinetomo command: a host of the plugin like any other. It finds the plugin by its manifest, loads it through
//! `cinetomo-host`, reads and writes files with `cinetomo-formats`, and knows nothing of libtorch.

#![forbid(unsafe_code)]

mod args;
mod boxes;
mod chunks;
mod commands;
mod console;
mod extraction;
mod failure;
mod image;
mod interrupt;
mod outputs;
mod particle_table;
mod particles;
mod picking;
mod picture;
mod predictions;
mod run_file;
mod session;
mod shard;
mod slices;
mod start;
mod table;
mod tomogram;
mod training;
mod truth;

use std::{env, ffi::OsString, process::ExitCode};

use clap::{CommandFactory, FromArgMatches};

use self::{args::Cli, console::Console, failure::Failure, run_file::RunFile};

fn main() -> ExitCode {
    let console = Console::new(console::Manner { json: false, quiet: false, verbose: 0 });
    let mut definition = Cli::command();
    // Options of all commands become options of each.
    definition.build();
    let typed: Vec<OsString> = env::args_os().collect();
    let arguments = match run_file::expand(typed.clone(), &definition) {
        Ok(arguments) => arguments,
        Err(failure) => return end(&console, &failure),
    };
    let matches = match definition.clone().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            if error.use_stderr() {
                commands::fail_relion_job(&typed);
            }
            // Help and versions are "errors" that go to stdout; nothing can be done about a stream that is closed.
            _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let console = Console::new(cli.global.manner());
    let run_file = RunFile::new(&definition, &matches);
    let result = interrupt::listen()
        .and_then(|()| commands::run(&cli.command, &cli.global, &console, &run_file));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&console, &failure),
    }
}

fn end(console: &Console, failure: &Failure) -> ExitCode {
    console.failure(failure);
    ExitCode::from(failure.exit_code())
}
