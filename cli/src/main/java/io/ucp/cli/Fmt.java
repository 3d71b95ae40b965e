package io.ucp.cli;

import io.ucp.convert.SpecSource;
import io.ucp.lang.Ucl;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFileAttributeView;
import java.util.ArrayList;
import java.util.List;

/// `ucp fmt`: the one canonical form of specs.
@Command(
        name = "fmt",
        description = "Format specs in place; prints the names of those that changed.",
        footer = {"", "Examples:", "  ucp fmt *.ucl", "  ucp fmt - <model.ucl"})
final class Fmt extends Reporting {
    private static final Path STANDARD_INPUT = Path.of("-");

    @Parameters(
            arity = "1..*",
            paramLabel = "SPEC",
            description = "Files; - formats standard input to standard output.")
    private List<Path> specs = List.of();

    @Option(
            names = "--check",
            description = "Change nothing; end with 1 where one is not formatted.")
    private boolean check;

    /// All files are formatted, or at least tried, before the errors of some are thrown.
    @Override
    ExitCode run() throws IOException {
        List<String> changed = new ArrayList<>();
        List<Diagnostic> wrong = new ArrayList<>();
        for (Path path : specs) {
            try {
                if (format(path)) {
                    changed.add(path.toString());
                }
            } catch (SpecException e) {
                wrong.addAll(e.diagnostics());
            }
        }
        if (!wrong.isEmpty()) {
            throw new SpecException(wrong);
        }
        if (json()) {
            Json.print(out(), fields -> Json.texts(fields, "changed", changed));
        } else if (check || !specs.contains(STANDARD_INPUT)) {
            changed.forEach(name -> out().println(Printable.of(name)));
        }
        return check && !changed.isEmpty() ? ExitCode.DIFFERENCE : ExitCode.DONE;
    }

    /// Whether it was not in canonical form.
    private boolean format(Path path) throws IOException {
        boolean input = path.equals(STANDARD_INPUT);
        SourceText source =
                input ? SpecSource.read(Path.of("stdin"), System.in) : SpecSource.read(path);
        String formatted = Ucl.format(source);
        boolean changed = !formatted.equals(source.text());
        if (input && !check && !json()) {
            out().print(formatted);
            out().flush();
        } else if (!input && changed && !check) {
            replace(path, formatted);
        }
        return changed;
    }

    /// The file keeps its permissions, and never holds half a spec.
    private static void replace(Path path, String text) throws IOException {
        Path file = path.toRealPath();
        Path fresh = Files.createTempFile(file.toAbsolutePath().getParent(), ".ucp-fmt-", ".ucl");
        try {
            Files.writeString(fresh, text);
            PosixFileAttributeView old =
                    Files.getFileAttributeView(file, PosixFileAttributeView.class);
            if (old != null) {
                Files.setPosixFilePermissions(fresh, old.readAttributes().permissions());
            }
            Files.move(
                    fresh,
                    file,
                    StandardCopyOption.ATOMIC_MOVE,
                    StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(fresh);
        }
    }
}
