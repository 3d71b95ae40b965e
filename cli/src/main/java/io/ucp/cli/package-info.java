/// The command line: one class a subcommand, and the only place with standard output, exit codes
/// and picocli.
@NullMarked
package io.ucp.cli;

import org.jspecify.annotations.NullMarked;
