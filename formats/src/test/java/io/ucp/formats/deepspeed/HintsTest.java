package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.LayoutHints;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

class HintsTest {
    private final DeepSpeedFormat format = new DeepSpeedFormat();

    @TempDir Path root;

    private CheckpointIndex index() throws IOException {
        return format.index(format.find(root).getFirst());
    }

    private static GeneratedCheckpoint transformer() {
        return GeneratedCheckpoint.of(GeneratedCheckpoint.transformer(2, 4));
    }

    private static Map<String, Object> shapes(Object... pairs) {
        Map<String, Object> shapes = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            shapes.put((String) pairs[i], pairs[i + 1]);
        }
        return shapes;
    }

    @Test
    void readsThePatternsInTheirOrderOfPrecedence() throws IOException {
        transformer().degrees(1, 2, 1).patterns().writeTo(root);

        LayoutHints hints = index().hints();

        assertThat(hints.version()).hasValue("0.2");
        assertThat(hints.patterns())
                .extracting(LayoutHints.Pattern::kind)
                .isSorted()
                .contains(
                        LayoutHints.Kind.REPLICATED_OVER_TP,
                        LayoutHints.Kind.TWO_SUB_PARAMS,
                        LayoutHints.Kind.ROW_PARALLEL);
    }

    private void writeWithInfo(Map<String, Object> info) throws IOException {
        transformer()
                .editing(
                        (name, file) ->
                                name.startsWith("mp_rank")
                                        ? file.with("universal_checkpoint_info", TorchTree.of(info))
                                        : file)
                .writeTo(root);
    }

    @Test
    void readsSubParamsWithTheirWidths() throws IOException {
        writeWithInfo(
                shapes(
                        "universal_checkpoint_version",
                        0.4,
                        "parameter_with_sub_params",
                        List.of(
                                shapes(
                                        "patterns",
                                        List.of("qkv.*"),
                                        "shape",
                                        List.of(List.of(48, 16, 16), -1),
                                        "partition_dim",
                                        0)),
                        "sub_param_shard_widths",
                        Map.of("qkv.*", List.of(List.of(24, 24), List.of(8, 8), List.of(16, 0)))));

        assertThat(index().hints().patterns())
                .containsExactly(
                        new LayoutHints.Pattern(
                                LayoutHints.Kind.SUB_PARAMS,
                                "qkv.*",
                                0,
                                List.of(List.of(48L, 16L, 16L), List.of(-1L)),
                                List.of(List.of(24L, 24L), List.of(8L, 8L), List.of(16L, 0L))));
    }

    @Test
    void tellsWhereRanksSayOtherPatterns() throws IOException {
        Map<String, Object> other =
                shapes("universal_checkpoint_version", 0.2, "original_vocab_size", 7);
        transformer()
                .degrees(1, 2, 1)
                .patterns()
                .editing(
                        (name, file) ->
                                name.startsWith("mp_rank_01")
                                        ? file.with(
                                                "universal_checkpoint_info", TorchTree.of(other))
                                        : file)
                .writeTo(root);

        assertThat(index().findings())
                .contains(
                        new Finding(
                                "mp_rank_01_model_states.pt",
                                "another `universal_checkpoint_info` here; the one in"
                                        + " mp_rank_00_model_states.pt is taken for all"));
    }

    @Test
    void saysNothingWhereRanksSayTheSamePatterns() throws IOException {
        transformer().degrees(1, 2, 1).patterns().writeTo(root);

        assertThat(index().findings()).noneMatch(f -> f.message().contains("taken for all"));
    }

    @Test
    void refusesRanksThatMeanTwoParametersByOneName() throws IOException {
        transformer()
                .degrees(1, 2, 1)
                .editing(
                        (name, file) ->
                                name.startsWith("mp_rank")
                                        ? file.with(
                                                "shared_params",
                                                TorchTree.of(
                                                        Map.of(
                                                                "tied",
                                                                name.startsWith("mp_rank_00")
                                                                        ? "layers.0.dense.weight"
                                                                        : "layers.1.dense.weight")))
                                        : file)
                .writeTo(root);

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("mp_rank_01_model_states.pt")
                .hasMessageContaining(
                        "tied is another name of layers.1.dense.weight, and a file before it of"
                                + " layers.0.dense.weight");
    }

    @Test
    void readsANumberOfEqualSubParamsOfOlderVersions() throws IOException {
        writeWithInfo(
                shapes(
                        "universal_checkpoint_version",
                        0.2,
                        "parameter_with_sub_params",
                        List.of(
                                shapes(
                                        "patterns",
                                        List.of("qkv.*"),
                                        "shape",
                                        List.of(3, -1),
                                        "partition_dim",
                                        0))));

        assertThat(index().hints().patterns().getFirst().subShape())
                .containsExactly(List.of(-1L, -1L, -1L), List.of(-1L));
    }

    @Test
    void doesNotUseALayoutOfANewerVersion() throws IOException {
        writeWithInfo(shapes("universal_checkpoint_version", 0.5, "affine_map", Map.of()));

        CheckpointIndex index = index();

        assertThat(index.hints().version()).isEmpty();
        assertThat(index.findings()).anyMatch(f -> f.message().contains("affine_map"));
    }

    @Test
    void readsTheNumbersOfTheModelFromItsArgumentsAndConfig() throws IOException {
        Path step = root.resolve("checkpoint-3");
        transformer().writeTo(step);
        Files.writeString(
                step.resolve("config.json"),
                "{\"num_attention_heads\": 6, \"num_key_value_heads\": 2, \"hidden_size\": 48,"
                        + " \"intermediate_size\": 106}");

        assertThat(index().hints().numbers())
                .containsEntry("heads", 6L)
                .containsEntry("kv_heads", 2L)
                .containsEntry("hidden", 48L)
                .containsEntry("ffn", 106L)
                .containsEntry("head_dim", 8L);
    }
}
