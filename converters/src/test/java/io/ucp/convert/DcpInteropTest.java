package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.execute.Progress;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/// Checkpoints that torch shards in every way, read and written again, as torch reads both. Runs
/// with `-Pinterop`.
@EnabledIfSystemProperty(
        named = "ucp.interop",
        matches = "true",
        disabledReason = "needs torch: run with -Pinterop")
class DcpInteropTest {
    @TempDir Path folder;

    @Test
    void torchLoadsTheSameStateFromEveryKindOfSharding() throws Exception {
        try (TorchRoot root = TorchRoot.open()) {
            Path made = root.scratch("kinds");
            root.python("dcp_kinds.py", root.seen(made));
            for (String kind :
                    new String[] {
                        "fsdp1", "fsdp1-dtensor", "hsdp1", "hsdp2", "wrapped", "compiled"
                    }) {
                assertLoads(root, made, kind, Map.of("dp", "3"));
            }
            assertLoads(root, made, "fsdp2tp2", Map.of("dp", "3", "tp", "2"));
        }
    }

    private void assertLoads(TorchRoot root, Path made, String kind, Map<String, String> options)
            throws Exception {
        Path output = folder.resolve(kind);
        Request request =
                new Request(
                        made.resolve(kind),
                        Optional.empty(),
                        "dcp",
                        Optional.empty(),
                        Map.of(),
                        options);
        Conversion.run(Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
        assertThat(
                        root.python(
                                "dcp_loads.py",
                                root.seen(made.resolve(kind)),
                                root.put(output, "ours-" + kind),
                                "1",
                                "2",
                                "3"))
                .as(kind)
                .contains("equal on 1 ranks", "equal on 2 ranks", "equal on 3 ranks");
    }
}
