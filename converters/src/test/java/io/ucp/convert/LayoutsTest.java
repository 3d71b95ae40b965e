package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/// The layouts that a search finds, and those that it leaves.
class LayoutsTest {
    private static final Path SOURCE = Path.of("../samples/llama-tp2-pp2-dp2/checkpoint");

    /// A job of 6 ranks whose global batch does not divide over any dp.
    private static Layouts layouts(int most, int tries) throws IOException {
        Request request =
                new Request(
                        SOURCE,
                        Optional.empty(),
                        "deepspeed",
                        Optional.empty(),
                        Map.of(),
                        Map.of("global-batch", "7"));
        return Layouts.of(
                request,
                Described.of(request),
                new Layouts.Cluster(6, 6, Long.MAX_VALUE, most, tries));
    }

    @Test
    void layoutsThatTheSearchDidNotTryAreCounted() throws IOException {
        Layouts all = layouts(8, 64);
        assertThat(all.possible()).hasSize(1);
        assertThat(all.untried()).isZero();
        assertThat(all.impossible().keySet())
                .anyMatch(reason -> reason.contains("a global batch of 7 over 3 data-parallel"));

        Layouts some = layouts(8, 1);
        assertThat(some.possible()).hasSize(1);
        assertThat(some.untried()).isEqualTo(4);

        // As many as were asked for are found: the others are no loss.
        assertThat(layouts(1, 1).untried()).isZero();
    }
}
