package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.bind.TargetRequest;
import io.ucp.bind.TargetRequest.Framework;
import io.ucp.execute.Progress;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Checkpoints that ucp wrote, as Megatron-LM itself loads them: its own `load_checkpoint`, of both
/// formats, into models and optimizers of other degrees. Runs with `-Pinterop -Ducp.torch.root=DIR
/// -Ducp.megatron.root=DIR`.
@EnabledIfSystemProperty(
        named = "ucp.interop",
        matches = "true",
        disabledReason = "needs torch and Megatron-LM: run with -Pinterop")
class MegatronInteropTest {
    private static final Path SAMPLES = Path.of("../samples");
    private static final Path LEGACY = SAMPLES.resolve("megatron-llama/checkpoint");
    private static final Path DIST = SAMPLES.resolve("megatron-dist-llama/checkpoint");
    private static final String SMALL =
            "\"--num-layers\", \"2\", \"--hidden-size\", \"32\", \"--num-attention-heads\", \"4\","
                + " \"--seq-length\", \"16\", \"--max-position-embeddings\", \"16\","
                + " \"--padded-vocab-size\", \"96\", \"--make-vocab-size-divisible-by\", \"16\","
                + " \"--dist-ckpt-optim-fully-reshardable\"";

    @TempDir Path folder;

    private record Degrees(int tp, int pp, int dp, int vpp, int ep, int etp) {
        static Degrees of(int tp, int pp, int dp) {
            return new Degrees(tp, pp, dp, 1, 1, 0);
        }

        Optional<TargetRequest> request() {
            TargetRequest job =
                    TargetRequest.SAME
                            .withFramework(Framework.MEGATRON)
                            .withTp(tp)
                            .withPp(pp)
                            .withDp(dp);
            job = ep > 1 ? job.withEp(ep) : job;
            job = vpp > 1 ? job.withVirtual(vpp) : job;
            return Optional.of(etp > 0 ? job.withEtp(etp) : job);
        }

        /// A job that loads a checkpoint.
        String job(String checkpoint, String more) {
            return "{\"load\": \"%s\", \"tp\": %d, \"pp\": %d, \"dp\": %d, \"vpp\": %d, \"ep\": %d, \"etp\": %d%s}"
                    .formatted(
                            checkpoint,
                            tp,
                            pp,
                            dp,
                            vpp,
                            ep,
                            etp,
                            more.isEmpty() ? "" : ", " + more);
        }
    }

    private static TorchRoot root() throws IOException {
        return TorchRoot.open().with("ucp.megatron.root", "megatron");
    }

    /// @return the path of what was written, as the root sees it
    private String convert(
            TorchRoot root,
            Path source,
            String as,
            String to,
            Map<String, Long> settings,
            Optional<String> spec,
            Optional<TargetRequest> job)
            throws IOException {
        Path output = folder.resolve(as);
        Request request =
                new Request(
                        source,
                        Optional.empty(),
                        to,
                        Optional.empty(),
                        settings,
                        Map.of(),
                        spec,
                        Names.AUTO,
                        job);
        Conversion.run(Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
        return root.put(output, as);
    }

    private String convert(TorchRoot root, Path source, String as, String to, Degrees degrees)
            throws IOException {
        return convert(root, source, as, to, Map.of(), Optional.empty(), degrees.request());
    }

    /// @return what Megatron-LM says of every job but the first, whose state they have to hold
    private static List<String> held(TorchRoot root, String... jobs) throws Exception {
        return root.python("megatron_holds.py", jobs)
                .lines()
                .filter(l -> l.contains("states are equal"))
                .toList();
    }

    @Test
    void anotherLayoutIsTheSameState() throws Exception {
        try (TorchRoot root = root()) {
            Degrees one = Degrees.of(1, 1, 1);
            Degrees four = Degrees.of(4, 1, 1);
            Degrees stages = Degrees.of(1, 2, 2);
            Degrees both = Degrees.of(2, 2, 1);
            String dist = convert(root, LEGACY, "dist", "megatron-dist", both);
            assertThat(
                            held(
                                    root,
                                    Degrees.of(2, 1, 1).job(root.put(LEGACY, "source"), ""),
                                    one.job(convert(root, LEGACY, "a", "megatron", one), ""),
                                    four.job(convert(root, DIST, "b", "megatron", four), ""),
                                    stages.job(convert(root, LEGACY, "c", "megatron", stages), ""),
                                    both.job(convert(root, DIST, "d", "megatron", both), ""),
                                    one.job(dist, ""),
                                    both.job(dist, ""),
                                    stages.job(dist, "")))
                    .hasSize(7)
                    .allMatch(l -> l.startsWith("60 "));
        }
    }

    /// Tied embeddings, biases, LayerNorm, learned positions, an optimizer that every rank has
    /// whole.
    @Test
    void aTiedModelWithAPlainOptimizerIsTheSameState() throws Exception {
        try (TorchRoot root = root()) {
            Path made = root.scratch("made");
            root.python(
                    "megatron_makes.py",
                    root.seen(made),
                    "{\"tp\": 2, \"plain\": true, \"more\": [%s]}".formatted(SMALL));
            Degrees one = Degrees.of(1, 1, 1);
            Degrees both = Degrees.of(2, 2, 1);
            String plain = "\"plain\": true";
            String dist = convert(root, made.resolve("torch_dist"), "dist", "megatron-dist", one);
            assertThat(
                            held(
                                    root,
                                    Degrees.of(2, 1, 1).job(root.seen(made) + "/torch", plain),
                                    one.job(
                                            convert(
                                                    root,
                                                    made.resolve("torch_dist"),
                                                    "a",
                                                    "megatron",
                                                    one),
                                            plain),
                                    both.job(
                                            convert(
                                                    root,
                                                    made.resolve("torch"),
                                                    "b",
                                                    "megatron",
                                                    both),
                                            plain),
                                    both.job(dist, plain)))
                    .hasSize(3);
        }
    }

    @Test
    void expertsOverOtherRanksAreTheSameState() throws Exception {
        try (TorchRoot root = root()) {
            Path made = root.scratch("made");
            root.python(
                    "megatron_makes.py",
                    root.seen(made),
                    ("{\"dp\": 2, \"ep\": 2, \"more\": [%s, \"--num-experts\", \"4\", \"--swiglu\","
                         + " \"--disable-bias-linear\", \"--normalization\", \"RMSNorm\","
                         + " \"--position-embedding-type\", \"rope\","
                         + " \"--untie-embeddings-and-output-weights\"]}")
                            .formatted(SMALL));
            Degrees four = new Degrees(1, 1, 4, 1, 4, 0);
            Degrees shared = new Degrees(2, 1, 2, 1, 2, 2);
            String dist = convert(root, made.resolve("torch"), "dist", "megatron-dist", shared);
            assertThat(
                            held(
                                    root,
                                    new Degrees(1, 1, 2, 1, 2, 0)
                                            .job(root.seen(made) + "/torch", ""),
                                    four.job(
                                            convert(
                                                    root,
                                                    made.resolve("torch_dist"),
                                                    "a",
                                                    "megatron",
                                                    four),
                                            ""),
                                    shared.job(
                                            convert(
                                                    root,
                                                    made.resolve("torch"),
                                                    "b",
                                                    "megatron",
                                                    shared),
                                            ""),
                                    shared.job(dist, ""),
                                    four.job(dist, "")))
                    .hasSize(4);
        }
    }

    /// What its command line has to say is in the notes of the report.
    @Test
    void whatDeepSpeedTrainedIsTakenUpInBothFormats() throws Exception {
        try (TorchRoot root = root()) {
            // Stage 3 keeps masters alone, of which a job without --bf16 would be made.
            convert(
                    root,
                    SAMPLES.resolve("llama-zero3-dp4/checkpoint"),
                    "narrow",
                    "deepspeed",
                    Map.of(),
                    Optional.empty(),
                    Optional.of(Jobs.deepspeed(2, 2)));
            Path source = folder.resolve("narrow");
            Map<String, Long> heads = Map.of("heads", 6L, "kv_heads", 2L, "head_dim", 8L);
            String more =
                    "\"more\": [\"--no-load-rng\", \"--max-position-embeddings\", \"64\","
                            + " \"--seq-length\", \"16\", \"--lr\", \"4.771212547196624E-4\","
                            + " \"--min-lr\", \"0.0\", \"--override-opt_param-scheduler\"]";
            Degrees two = Degrees.of(2, 1, 1);
            String legacy =
                    convert(
                            root,
                            source,
                            "legacy",
                            "megatron",
                            heads,
                            Optional.of("megatron_core_llama_hf_local"),
                            two.request());
            String dist =
                    convert(
                            root,
                            source,
                            "dist",
                            "megatron-dist",
                            heads,
                            Optional.of("megatron_core_llama_hf"),
                            two.request());
            assertThat(
                            held(
                                    root,
                                    two.job(legacy, "\"plain\": true, " + more),
                                    two.job(dist, more),
                                    Degrees.of(1, 3, 1).job(dist, more)))
                    .hasSize(2)
                    .allMatch(l -> l.startsWith("84 "));
        }
    }
}
