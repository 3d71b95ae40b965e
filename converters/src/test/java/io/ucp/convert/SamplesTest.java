package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.execute.Progress;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleGraph;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/// Every sample is a real checkpoint with a spec by hand, the plan that they must give, and the
/// digests of what DeepSpeed's own `ds_to_universal` made of it (written by an independent reader).
class SamplesTest {
    private static final Path SAMPLES = Path.of("../samples");

    @TempDir Path folder;

    static Stream<Path> samples() throws IOException {
        try (Stream<Path> entries = Files.list(SAMPLES)) {
            return entries.filter(p -> Files.exists(p.resolve("spec.ucl"))).toList().stream()
                    .sorted();
        }
    }

    @ParameterizedTest
    @MethodSource("samples")
    void thePlanIsTheExpectedOne(Path sample) throws IOException {
        Prepared prepared = prepare(sample, "deepspeed-universal", byHand(sample));
        String plan = new PlanText(sample.resolve("checkpoint")).of(prepared.plan());
        Path golden = sample.resolve("expected.plan");
        if (Boolean.getBoolean("golden.update")) {
            Files.writeString(golden, plan);
        }
        assertThat(plan).isEqualTo(Files.readString(golden));
    }

    @ParameterizedTest
    @MethodSource("samples")
    void theMetadataSaysWhatTheSpecByHandSays(Path sample) throws IOException {
        PlanText text = new PlanText(sample.resolve("checkpoint"));
        assertThat(text.of(prepare(sample, "deepspeed-universal", Optional.empty()).plan()))
                .isEqualTo(text.of(prepare(sample, "deepspeed-universal", byHand(sample)).plan()));
    }

    @ParameterizedTest
    @MethodSource("samples")
    void deepspeedUniversalHoldsTheTensorsThatUpstreamWrites(Path sample) throws Exception {
        Path direct = folder.resolve("direct");
        run(prepare(sample, "deepspeed-universal", Optional.empty()), direct);
        assertThat(tensors(direct.resolve("global_step3_universal"))).isEqualTo(expected(sample));

        Path universal = folder.resolve("universal");
        run(prepare(sample, "universal", Optional.empty()), universal);
        Path again = folder.resolve("again");
        run(Conversion.prepare(request(universal, "deepspeed-universal", Optional.empty())), again);
        assertThat(tensors(again.resolve("global_step3_universal"))).isEqualTo(expected(sample));
    }

    @ParameterizedTest
    @MethodSource("samples")
    void everyFormHoldsTheSameStateAndItsDigests(Path sample) throws IOException {
        Path universal = folder.resolve("universal");
        Report report = run(prepare(sample, "universal", Optional.empty()), universal);
        Path compressed = compressed(sample, "zstd:1");
        Path shuffled = compressed(sample, "zstd:1+shuffle");
        Described source = describe(sample.resolve("checkpoint"));
        for (Path form : List.of(universal, compressed, shuffled)) {
            Verification.Verdict same =
                    Verification.compare(
                            source, describe(form), RunOptions.standard(), Progress.NONE);
            assertThat(same.differences()).isEmpty();
            assertThat(same.states()).isPositive();
            Verification.Verdict whole =
                    Verification.check(describe(form), RunOptions.standard(), Progress.NONE);
            assertThat(whole.differences()).isEmpty();
        }
        assertThat(Digests.of(source.inventory(), RunOptions.standard(), Progress.NONE))
                .isEqualTo(report.digests());
    }

    private Path compressed(Path sample, String method) throws IOException {
        Path out = folder.resolve(method);
        run(
                Conversion.prepare(
                        new Request(
                                sample.resolve("checkpoint"),
                                Optional.empty(),
                                "universal",
                                Optional.empty(),
                                Map.of(),
                                Map.of("compress", method))),
                out);
        return out;
    }

    private static Optional<String> byHand(Path sample) {
        return Optional.of(sample.resolve("spec.ucl").toString());
    }

    private static Prepared prepare(Path sample, String to, Optional<String> spec)
            throws IOException {
        return Conversion.prepare(request(sample.resolve("checkpoint"), to, spec));
    }

    private static Request request(Path source, String to, Optional<String> spec) {
        return new Request(source, Optional.empty(), to, spec, Map.of(), Map.of());
    }

    private static Report run(Prepared prepared, Path output) throws IOException {
        return Conversion.run(prepared, output, RunOptions.standard(), Progress.NONE);
    }

    private static Described describe(Path path) throws IOException {
        return Described.of(path, Optional.empty(), Optional.empty(), Map.of());
    }

    /// `file sha256 dtype shape` of every tensor below `zero`; where a file holds several tensors,
    /// that many lines.
    private static Set<String> tensors(Path root) throws IOException, NoSuchAlgorithmException {
        List<Path> files;
        try (Stream<Path> walk = Files.walk(root.resolve("zero"))) {
            files = walk.filter(p -> p.toString().endsWith(".pt")).toList();
        }
        Set<String> lines = new TreeSet<>();
        for (Path path : files) {
            TorchFile file = TorchFile.open(path);
            byte[] bytes = Files.readAllBytes(path);
            PickleGraph.forEach(
                    file.tree(),
                    node ->
                            file.tensor(node)
                                    .ifPresent(
                                            t ->
                                                    lines.add(
                                                            line(
                                                                    root.relativize(path),
                                                                    t,
                                                                    sha256(
                                                                            ByteBuffer.wrap(
                                                                                    bytes,
                                                                                    (int)
                                                                                            file
                                                                                                    .position(
                                                                                                            t),
                                                                                    (int)
                                                                                            t
                                                                                                    .size()))))));
        }
        return lines;
    }

    private static String sha256(ByteBuffer bytes) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(bytes);
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String line(Path file, TorchTensor tensor, String sha256) {
        return "%s %s %d bytes".formatted(file, sha256, tensor.size());
    }

    /// The lines of the independent reader: `sha256 Storage AxB path/in/file`.
    private static Set<String> expected(Path sample) throws IOException {
        Map<String, Integer> widths =
                Map.of("Float", 4, "BFloat16", 2, "Byte", 1, "Bool", 1, "Long", 8);
        Set<String> lines = new TreeSet<>();
        for (String line :
                Files.readAllLines(sample.resolve("expected-deepspeed-universal.digests"))) {
            String[] words = line.split(" ", 4);
            if (words[3].startsWith("zero/")) {
                long size = widths.getOrDefault(words[1], 0);
                for (String extent : words[2].split("x", -1)) {
                    size *= extent.equals("-") ? 1 : Long.parseLong(extent);
                }
                String file = words[3].substring(0, words[3].indexOf(".pt") + 3);
                lines.add("%s %s %d bytes".formatted(file, words[0], size));
            }
        }
        return lines;
    }
}
