package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// From one framework to another, by the commands that people type: weights, states of the
/// optimizer, steps, schedules and counters.
final class CrossingFrameworksTest {
    /// A real job of Megatron-DeepSpeed's: bf16, Adam in two groups, a cosine schedule.
    private static final Path SOURCE = Run.sample("llama-tp2-pp2-dp2");

    private static final String HERE = "megatron_deepspeed_llama";
    private static final String THERE = "megatron_core_llama_hf";

    @TempDir private Path folder;

    private Path convert(Path source, String name, String to, String... more) {
        return convert(source, name, to, List.of(more)).output();
    }

    private record Converted(Path output, String report) {}

    private Converted convert(Path source, String name, String to, List<String> more) {
        Path out = folder.resolve(name);
        List<Object> all = new ArrayList<>(List.of("convert", source, "-o", out, "--to", to));
        all.addAll(more);
        return new Converted(out, Run.ucp(all.toArray()).isDone().out());
    }

    private static String carried(Path checkpoint) {
        return Run.ucp("inspect", checkpoint, "--carried").isDone().out();
    }

    @ParameterizedTest
    @ValueSource(strings = {"--names hf --tp 2", "--target-spec megatron_deepspeed_llama --pp 2"})
    void huggingFaceByWayOfMegatronDeepSpeedAndDcpIsTheSameBytes(String deepspeed)
            throws IOException {
        Path model = SmallLlama.in(Files.createDirectory(folder.resolve("model")));
        Path megatron =
                convert(
                        model,
                        "megatron",
                        "megatron",
                        "--tp",
                        "2",
                        "--pp",
                        "2",
                        "--target-spec",
                        THERE);
        Path ranks = convert(megatron, "deepspeed", "deepspeed", deepspeed.split(" "));
        Path dcp = convert(ranks, "dcp", "dcp", "--dp", "3", "--names", "hf");
        Path back = convert(dcp, "back", "safetensors");
        for (String file : List.of("model.safetensors", "config.json", "tokenizer.json")) {
            assertThat(back.resolve(file)).hasSameBinaryContentAs(model.resolve(file));
        }
        try (var files = Files.list(back)) {
            assertThat(files).hasSize(3);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"megatron", "megatron-dist"})
    void adamOfDeepSpeedIsMegatrons(String format) {
        Converted made = convert(SOURCE, "there", format, List.of("--target-spec", THERE));
        assertThat(made.report())
                .contains(
                        "lost      of the job, for which Megatron-LM has no place: ds_config, args,"
                                + " tokens, rng_state\n")
                .contains("--no-load-rng")
                .contains("by their rates: --lr 0.006 --min-lr 6.0E-4\n")
                .doesNotContain("--no-load-optim");
        Run.ucp("verify", SOURCE, made.output(), "--names", "hf").isDone();
        assertThat(carried(made.output()))
                .contains(
                        "'iteration' 3\n",
                        "'consumed_train_samples' 72\n",
                        "'wd_mult' 1.0\n",
                        "'wd_mult' 0.0\n",
                        "'max_lr' 0.006\n",
                        "'min_lr' 6.0E-4\n",
                        "'weight_decay' 0.1\n",
                        "'betas' (0.9, 0.95)\n",
                        "'step' 3\n",
                        "'lr_decay_style' 'cosine'\n",
                        "'num_steps' 72\n");
    }

    @ParameterizedTest
    @CsvSource({
        "megatron --target-spec THERE, deepspeed --names hf",
        "megatron-dist --target-spec THERE, deepspeed --names hf --tp 1",
        "deepspeed --names hf --pp 1 --dp 3 --zero 2, megatron-dist --target-spec THERE",
        "megatron --target-spec THERE, dcp --names hf",
        "dcp --names hf, megatron --target-spec THERE --set heads=8 --set kv_heads=8 --set"
                + " head_dim=8",
    })
    void thereAndByAnotherWayBackIsTheSameState(String first, String second) {
        Path there = convert(SOURCE, "first", first);
        Path other = convert(there, "second", second);
        Run.ucp("verify", SOURCE, there, "--names", "hf").isDone();
        boolean whole = second.startsWith("dcp");
        List<String> back = new ArrayList<>(List.of("--target-spec", HERE, "--tp", "2"));
        if (whole) {
            back.addAll(List.of("--set", "heads=8", "--set", "kv_heads=8", "--set", "head_dim=8"));
        }
        Converted made = convert(other, "back", "deepspeed", back);
        Run.ucp("verify", SOURCE, made.output()).isDone();
        assertThat(carried(made.output()))
                .contains("'global_steps' 3\n", "'global_samples' 72\n", "'num_steps' 72\n")
                .contains("'wd_mult' 1.0\n", "'wd_mult' 0.0\n", "'weight_decay' 0.1\n");
    }

    /// DeepSpeed finds a parameter's states by its place among those that the optimizer was given,
    /// and asks for no name: Megatron-LM's own order would be loaded without a word.
    @ParameterizedTest
    @CsvSource({
        "deepspeed --names hf --tp 1, "
                + "model.embed_tokens.weight model.layers.0.self_attn.q_proj.weight"
                + " model.layers.0.self_attn.k_proj.weight model.layers.0.self_attn.v_proj.weight"
                + " model.layers.0.self_attn.o_proj.weight model.layers.0.mlp.gate_proj.weight"
                + " model.layers.0.mlp.up_proj.weight model.layers.0.mlp.down_proj.weight"
                + " model.layers.1.self_attn.q_proj.weight model.layers.3.mlp.down_proj.weight"
                + " lm_head.weight",
        "deepspeed --target-spec HERE --tp 1 --pp 1, "
                + "1.word_embeddings.weight 2.self_attention.query_key_value.weight"
                + " 2.self_attention.dense.weight 2.mlp.dense_h_to_4h.weight"
                + " 2.mlp.dense_4h_to_h.weight 3.self_attention.query_key_value.weight"
                + " 5.mlp.dense_4h_to_h.weight"
    })
    void theOptimizerHasItsParametersInTheOrderOfTheModelsModules(String options, String order) {
        Path there = convert(SOURCE, "there", "megatron --target-spec THERE");
        Path made = convert(there, "made", options.replace("HERE", HERE));
        String carried = carried(made);
        assertThat(carried.substring(carried.indexOf("'param_shapes'")))
                .containsSubsequence(
                        Stream.of(order.split(" ")).map(n -> "'" + n + "' Size(").toList());
    }

    /// The form has each parameter by its name, and says no order that one could rely on.
    @Test
    void anOrderThatNoOneSaysIsNotMadeUpByWayOfUniversal() {
        Path there = convert(SOURCE, "there", "megatron --target-spec THERE");
        Path named = convert(there, "named", "deepspeed-universal");
        Run.ucp("convert", named, "-o", folder.resolve("no"), "--to", "deepspeed")
                .endsWith(ExitCode.REFUSED);
        Path known = convert(there, "known", "deepspeed-universal", "--names", "hf");
        Path ranks = convert(known, "ranks", "deepspeed");
        String carried = carried(ranks);
        assertThat(carried.substring(carried.indexOf("'param_shapes'")))
                .containsSubsequence(
                        "'model.embed_tokens.weight' Size(",
                        "'model.layers.0.self_attn.q_proj.weight' Size(",
                        "'model.layers.0.mlp.gate_proj.weight' Size(",
                        "'model.layers.1.self_attn.q_proj.weight' Size(",
                        "'lm_head.weight' Size(");
    }

    @Test
    void aNumberThatNothingOfAConversionReadsIsRefused() {
        Path whole = convert(SOURCE, "whole", "universal");
        Run.ucp(
                        "convert",
                        whole,
                        "-o",
                        folder.resolve("no"),
                        "--to",
                        "deepspeed",
                        "--set",
                        "vision_heads=8")
                .endsWith(ExitCode.USAGE);
    }

    @Test
    void numbersThatOnlyTheTargetsSpecReadsAreGivenToIt() {
        Path plain = Run.sample("llama-zero3-dp4");
        String heads = " --set heads=6 --set kv_heads=2 --set head_dim=8";
        Path there = convert(plain, "there", "megatron --target-spec THERE --tp 2" + heads);
        assertThat(carried(there)).contains("'num_query_groups' 2\n");
        Run.ucp("convert", plain, "-o", folder.resolve("no"), "--to", "dcp", "--set", "haeds=6")
                .endsWith(ExitCode.USAGE);
    }

    /// DeepSpeed would take the first of two ranks' parts for the whole, or look for Megatron's
    /// names to put them together.
    @ParameterizedTest
    @ValueSource(strings = {"megatron --target-spec THERE", "megatron-dist --target-spec THERE"})
    void aModelOfTransformersIsNotCutUnlessAsked(String other) {
        Path there = convert(SOURCE, "there", other);
        Converted made = convert(there, "made", "deepspeed", List.of("--names", "hf"));
        assertThat(made.report()).contains("job       dp 2 (2 ranks), ZeRO stage 1\n");
        Run.ucp("verify", SOURCE, made.output(), "--names", "hf").isDone();
    }

    @ParameterizedTest
    @ValueSource(strings = {"megatron --target-spec THERE", "deepspeed --names hf --pp 1", "dcp"})
    void whatATargetHasNoPlaceForIsAnErrorWhereThatIsAsked(String options) {
        Path out = folder.resolve("out");
        List<Object> all = new ArrayList<>(List.of("convert", SOURCE, "-o", out, "--strict"));
        all.add("--to");
        all.addAll(List.of(options.replace("THERE", THERE).split(" ")));
        Run run = Run.ucp(all.toArray()).endsWith(ExitCode.REFUSED);
        assertThat(run.err())
                .contains(
                        "has no place: ds_config, args, tokens, rng_state; expected nothing lost");
        assertThat(out).doesNotExist();
    }

    @ParameterizedTest
    @CsvSource({
        "megatron --target-spec THERE, --no-load-optim",
        "megatron-dist --target-spec THERE, --no-load-optim",
        "deepspeed, load_module_only=True",
    })
    void aModelWithoutAnOptimizerIsWeightsAlone(String options, String told) throws IOException {
        Path model = SmallLlama.in(Files.createDirectory(folder.resolve("model")));
        String[] words = options.replace("THERE", THERE).split(" ");
        Converted made = convert(model, "out", words[0], List.of(words).subList(1, words.length));
        assertThat(made.report()).contains(told).doesNotContain("lost ").doesNotContain("exp_avg");
        Run.ucp("verify", model, made.output(), "--names", "hf").isDone();
    }

    private Path convert(Path source, String name, String options) {
        String[] words = options.replace("THERE", THERE).split(" ");
        return convert(source, name, words[0], List.of(words).subList(1, words.length)).output();
    }
}
