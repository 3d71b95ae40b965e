package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.bind.TargetRequest;
import io.ucp.execute.Progress;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Checkpoints that ucp wrote, as DeepSpeed itself loads them and trains on. Runs with `-Pinterop
/// -Ducp.torch.root=DIR -Ducp.deepspeed.root=DIR`.
@EnabledIfSystemProperty(
        named = "ucp.interop",
        matches = "true",
        disabledReason = "needs torch and DeepSpeed: run with -Pinterop")
class DeepSpeedInteropTest {
    private static final Path SAMPLES = Path.of("../samples");
    private static final Map<String, Long> HEADS =
            Map.of("heads", 6L, "kv_heads", 2L, "head_dim", 8L);

    /// What has no place in another framework's checkpoint.
    private static final String CROSSED =
            "\"scheduler\": false, \"facts\": [\"steps\", \"global_steps\"]";

    /// Megatron-LM keeps what is decayed and what is not in two groups.
    private static final String OF_MEGATRON = CROSSED + ", \"decays\": 2";

    @TempDir Path folder;

    private Path convert(Path source, String as, String to, Optional<TargetRequest> job)
            throws IOException {
        return convert(source, as, to, Optional.empty(), Names.AUTO, job);
    }

    private Path convert(
            Path source,
            String as,
            String to,
            Optional<String> spec,
            Names names,
            Optional<TargetRequest> job)
            throws IOException {
        Path output = folder.resolve(as);
        Map<String, Long> heads = to.startsWith("megatron") ? HEADS : Map.of();
        Request request =
                new Request(
                        source,
                        Optional.empty(),
                        to,
                        Optional.empty(),
                        heads,
                        Map.of(),
                        spec,
                        names,
                        job);
        Conversion.run(Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
        return output;
    }

    private static String job(TorchRoot root, Path checkpoint, int ranks, int stage, String more)
            throws IOException {
        return "{\"checkpoint\": \"%s\", \"ranks\": %d, \"stage\": %d%s}"
                .formatted(
                        root.put(checkpoint, checkpoint.getFileName().toString()),
                        ranks,
                        stage,
                        more.isEmpty() ? "" : ", " + more);
    }

    /// @return what DeepSpeed says of every job but the first, whose state they have to hold
    private static List<String> held(TorchRoot root, String config, List<String> jobs)
            throws Exception {
        List<String> arguments = new ArrayList<>(List.of(config));
        arguments.addAll(jobs);
        return root.python("deepspeed_holds.py", arguments.toArray(String[]::new))
                .lines()
                .filter(l -> l.contains("states are equal"))
                .toList();
    }

    private String config(TorchRoot root, String json) throws IOException {
        Path model = Files.createDirectory(folder.resolve("config"));
        Files.writeString(model.resolve("config.json"), json);
        return root.put(model, "config");
    }

    private String llama(TorchRoot root) throws IOException {
        return config(
                root,
                """
                {"model_type": "llama", "hidden_size": 48, "intermediate_size": 106, "num_attention_heads": 6,
                 "num_key_value_heads": 2, "num_hidden_layers": 3, "vocab_size": 517, "max_position_embeddings": 64,
                 "tie_word_embeddings": false}
                """);
    }

    @Test
    void anotherLayoutIsTheSameState() throws Exception {
        try (TorchRoot root = TorchRoot.open().with("ucp.deepspeed.root", "deepspeed")) {
            Path source = SAMPLES.resolve("llama-zero3-dp4/checkpoint");
            Path narrow = convert(source, "narrow", "deepspeed", Optional.of(Jobs.deepspeed(2, 2)));
            List<String> jobs =
                    List.of(
                            job(root, source, 4, 3, ""),
                            job(
                                    root,
                                    convert(
                                            source,
                                            "a",
                                            "deepspeed",
                                            Optional.of(Jobs.deepspeed(3, 3))),
                                    3,
                                    3,
                                    ""),
                            job(root, narrow, 2, 2, ""),
                            job(
                                    root,
                                    convert(
                                            narrow,
                                            "b",
                                            "deepspeed",
                                            Optional.of(Jobs.deepspeed(4, 3))),
                                    4,
                                    3,
                                    ""),
                            job(
                                    root,
                                    convert(
                                            source,
                                            "c",
                                            "deepspeed",
                                            Optional.of(Jobs.deepspeed(1, 1))),
                                    1,
                                    1,
                                    ""),
                            job(
                                    root,
                                    convert(source, "u", "deepspeed-universal", Optional.empty()),
                                    2,
                                    3,
                                    "\"universal\": true"));
            assertThat(held(root, llama(root), jobs))
                    .hasSize(5)
                    .allMatch(l -> l.startsWith("120 "))
                    .filteredOn(l -> l.contains("and the next"))
                    .hasSize(1);
        }
    }

    @Test
    void aTiedHeadAndFrozenLayersStaySo() throws Exception {
        try (TorchRoot root = TorchRoot.open().with("ucp.deepspeed.root", "deepspeed")) {
            Path source = SAMPLES.resolve("gpt2-zero2-tied-frozen/checkpoint");
            String frozen = "\"frozen\": [\"transformer.h.0.\"]";
            List<String> jobs =
                    List.of(
                            job(root, source, 2, 2, frozen),
                            job(
                                    root,
                                    convert(
                                            source,
                                            "a",
                                            "deepspeed",
                                            Optional.of(Jobs.deepspeed(3, 2))),
                                    3,
                                    2,
                                    frozen),
                            job(
                                    root,
                                    convert(
                                            source,
                                            "b",
                                            "deepspeed",
                                            Optional.of(Jobs.deepspeed(1, 1))),
                                    1,
                                    1,
                                    frozen),
                            job(
                                    root,
                                    convert(source, "u", "deepspeed-universal", Optional.empty()),
                                    3,
                                    2,
                                    frozen + ", \"universal\": true"));
            String config =
                    config(
                            root,
                            """
                            {"model_type": "gpt2", "n_embd": 40, "n_head": 4, "n_layer": 2, "n_positions": 64,
                             "vocab_size": 517, "resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}
                            """);
            assertThat(held(root, config, jobs))
                    .satisfiesExactly(
                            l -> assertThat(l).startsWith("76 "),
                            l -> assertThat(l).startsWith("76 "),
                            l -> assertThat(l).startsWith("64 "));
        }
    }

    @Test
    void whatWentThroughAnotherFrameworkIsTheSameState() throws Exception {
        try (TorchRoot root = TorchRoot.open().with("ucp.deepspeed.root", "deepspeed")) {
            Path source = SAMPLES.resolve("llama-zero3-dp4/checkpoint");
            Path narrow = convert(source, "narrow", "deepspeed", Optional.of(Jobs.deepspeed(2, 2)));
            List<String> jobs = new ArrayList<>(List.of(job(root, source, 4, 3, "")));
            Optional<String> spec = Optional.of("megatron_core_llama_hf");
            for (String other : List.of("megatron", "megatron-dist")) {
                Path there =
                        convert(
                                narrow,
                                other,
                                other,
                                spec,
                                Names.AUTO,
                                Optional.of(Jobs.megatron(2)));
                for (int stage = 1; stage <= 3; stage++) {
                    String as = "%s-%d".formatted(other, stage);
                    Path made =
                            convert(
                                    there,
                                    as,
                                    "deepspeed",
                                    Optional.empty(),
                                    Names.HF,
                                    Optional.of(Jobs.deepspeed(stage, stage)));
                    jobs.add(job(root, made, stage, stage, OF_MEGATRON));
                }
            }
            Path dcp = convert(narrow, "dcp", "dcp", Optional.empty());
            Path made = convert(dcp, "from-dcp", "deepspeed", Optional.of(Jobs.deepspeed(3, 2)));
            jobs.add(job(root, made, 3, 2, CROSSED));
            assertThat(held(root, llama(root), jobs))
                    .hasSize(7)
                    .allMatch(l -> l.startsWith("120 "));
        }
    }

    @Test
    void aTiedPipelineGoesToOtherStages() throws Exception {
        try (TorchRoot root = TorchRoot.open().with("ucp.deepspeed.root", "deepspeed")) {
            Path sample = SAMPLES.resolve("pipeline-tied");
            Path source = sample.resolve("checkpoint");
            List<String> jobs = new ArrayList<>(List.of(pipeline(root, source, 2)));
            for (int stages : List.of(1, 4)) {
                Request request =
                        new Request(
                                source,
                                Optional.empty(),
                                "deepspeed",
                                Optional.of(sample.resolve("tied.ucl").toString()),
                                Map.of(),
                                Map.of(),
                                Optional.of(
                                        TargetRequest.SAME
                                                .withPp(stages)
                                                .withPartition("uniform")));
                Path made = folder.resolve("pp" + stages);
                Conversion.run(
                        Conversion.prepare(request), made, RunOptions.standard(), Progress.NONE);
                jobs.add(pipeline(root, made, stages));
            }
            String said = root.python("deepspeed_pipeline_holds.py", jobs.toArray(String[]::new));
            assertThat(said.lines().filter(l -> l.contains("states are equal")))
                    .hasSize(2)
                    .allMatch(l -> l.startsWith("112 "));
        }
    }

    private static String pipeline(TorchRoot root, Path checkpoint, int stages) throws IOException {
        String name = checkpoint.getFileName().toString();
        return "{\"checkpoint\": \"%s\", \"pp\": %d}".formatted(root.put(checkpoint, name), stages);
    }

    @Test
    void weightsOfAModelAreItsModule() throws Exception {
        try (TorchRoot root = TorchRoot.open().with("ucp.deepspeed.root", "deepspeed")) {
            Path source = SAMPLES.resolve("hf-llama-sharded/checkpoint");
            Path made = convert(source, "made", "deepspeed", Optional.of(Jobs.deepspeed(2, 2)));
            String model = root.put(source, "source");
            List<String> jobs =
                    List.of(
                            "{\"model\": \"%s\"}".formatted(model),
                            job(root, made, 2, 2, "\"weights\": true"));
            assertThat(held(root, model, jobs)).hasSize(1).allMatch(l -> l.startsWith("21 "));
        }
    }
}
