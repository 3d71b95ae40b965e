package io.ucp.lang;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// Runs `golden/x.ucl` against the files beside it: `x.ast` (its tree), `x.fmt` (its canonical
/// text) or `x.err` (its errors). `-Dgolden.update=true` writes them anew, and makes what is
/// missing.
class GoldenTest {
    private static final Path FOLDER = Path.of("src/test/resources/golden");
    private static final boolean UPDATE = Boolean.getBoolean("golden.update");

    @TestFactory
    Stream<DynamicTest> everyGoldenFileIsMet() throws IOException {
        List<Path> files;
        try (Stream<Path> found = Files.list(FOLDER)) {
            files = found.sorted().toList();
        }
        assertThat(files).isNotEmpty();
        return files.stream()
                .map(file -> dynamicTest(file.getFileName().toString(), () -> run(file)));
    }

    private static void run(Path file) throws IOException {
        switch (extension(file)) {
            case "ucl" -> source(file);
            case "ast", "fmt", "err" ->
                    assertThat(sibling(file, "ucl")).as("the spec of %s", file).exists();
            default -> fail("%s: expected .ucl, .ast, .fmt or .err", file);
        }
    }

    private static void source(Path file) throws IOException {
        SourceText source = SourceText.of(file.getFileName().toString(), Files.readString(file));
        List<String> kinds = new ArrayList<>(List.of("ast", "fmt", "err"));
        kinds.removeIf(kind -> !Files.exists(sibling(file, kind)));
        if (UPDATE && kinds.isEmpty()) {
            kinds.addAll(isValid(source) ? List.of("ast", "fmt") : List.of("err"));
        }
        assertThat(kinds).as("golden files of %s", file).isNotEmpty();
        for (String kind : kinds) {
            compare(sibling(file, kind), actual(kind, source));
        }
    }

    private static boolean isValid(SourceText source) {
        try {
            Ucl.parse(source);
            return true;
        } catch (SpecException _) {
            return false;
        }
    }

    private static String actual(String kind, SourceText source) {
        return switch (kind) {
            case "ast" -> TreeText.of(Ucl.parse(source));
            case "fmt" -> formatted(source);
            default -> errors(source);
        };
    }

    private static String formatted(SourceText source) {
        String once = Ucl.format(source);
        SourceText again = SourceText.of(source.name(), once);
        assertThat(Ucl.format(again)).as("formatted twice").isEqualTo(once);
        assertThat(bare(again)).as("the tree of the formatted text").isEqualTo(bare(source));
        return once;
    }

    /// The tree without places and comments: formatting keeps the first, and moves a few of the
    /// others.
    private static String bare(SourceText source) {
        return TreeText.withoutPlaces(Ucl.parse(source))
                .replaceAll("(?m)^ *(comments: Comments|leading|closing|trailing.*|//.*|)\n", "");
    }

    private static String errors(SourceText source) {
        try {
            Ucl.parse(source);
        } catch (SpecException e) {
            return e.getMessage() + "\n";
        }
        return fail("no error in %s", source.name());
    }

    private static void compare(Path golden, String actual) {
        try {
            if (UPDATE) {
                Files.writeString(golden, actual);
            }
            assertThat(actual).as("%s", golden).isEqualTo(Files.readString(golden));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String extension(Path file) {
        String name = file.getFileName().toString();
        return name.substring(name.lastIndexOf('.') + 1);
    }

    private static Path sibling(Path file, String extension) {
        String name = file.getFileName().toString();
        String stem = name.substring(0, name.lastIndexOf('.') + 1);
        return file.resolveSibling(stem + extension);
    }
}
