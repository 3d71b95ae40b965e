package io.ucp.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/// Mutated input to every parser: a documented error each time, soon, and in little memory.
/// `.ci/fuzz` runs it for long (`-Ducp.fuzz.executions=`, `-Ducp.fuzz.seconds=` for each parser,
/// `-Ducp.fuzz.seed=`, `-Ducp.fuzz.corpus=DIR` to write what it came far with).
@EnabledIfSystemProperty(named = "ucp.fuzz.executions", matches = "[0-9]+")
final class FuzzTest {
    private static final long EXECUTIONS = Long.getLong("ucp.fuzz.executions", 3_000);
    private static final Duration TIME = Duration.ofSeconds(Long.getLong("ucp.fuzz.seconds", 6));
    private static final long SEED = Long.getLong("ucp.fuzz.seed", 20_261_128);
    private static final String ONLY = System.getProperty("ucp.fuzz.parser", "");

    private static final String CORPUS = System.getProperty("ucp.fuzz.corpus", "");

    @TempDir private Path folder;

    @Test
    void parsersRefuseWhatTheyCannotRead() throws IOException {
        StringBuilder report = new StringBuilder();
        for (Parser parser : Parsers.all(folder.resolve("seeds"))) {
            if (ONLY.isEmpty() || ONLY.equals(parser.name())) {
                Path own = Files.createDirectories(folder.resolve(parser.name()));
                Fuzzing fuzzing = new Fuzzing(parser.with(Corpus.read(parser.name())), own, SEED);
                fuzzing.run(EXECUTIONS, TIME);
                if (!CORPUS.isEmpty()) {
                    Corpus.write(Path.of(CORPUS), parser.name(), fuzzing.found());
                }
                assertThat(fuzzing.outcomes()).as(parser.name()).isPositive();
                report.append(
                        "%n%-12s %,10d executions, %d outcomes"
                                .formatted(
                                        parser.name(), fuzzing.executions(), fuzzing.outcomes()));
            }
        }
        assertThat(report).isNotEmpty();
        if (Boolean.getBoolean("ucp.fuzz.report")) {
            System.out.println(report);
        }
    }
}
