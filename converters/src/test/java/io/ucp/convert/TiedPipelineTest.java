package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.bind.TargetRequest;
import io.ucp.formats.deepspeed.GeneratedCheckpoint;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.Leaves;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;

/// A pipeline without ZeRO whose first and last layer share an embedding of words and positions, as
/// DeepSpeed saved it. They share the words: the head has no use for positions, and DeepSpeed adds
/// up the gradients of `tied_weight_attr` alone.
class TiedPipelineTest {
    private static final Path SAMPLE = Path.of("../samples/pipeline-tied");
    private static final Path SAVED = SAMPLE.resolve("checkpoint");
    private static final Optional<String> SPEC = Optional.of(SAMPLE.resolve("tied.ucl").toString());

    @TempDir Path folder;

    private Path run(Path source, int pp, Optional<String> spec, String name) throws IOException {
        Optional<TargetRequest> job = Optional.of(TargetRequest.SAME.withPp(pp));
        return Conversions.run(
                Conversions.request(source, "deepspeed", spec, job), folder.resolve(name));
    }

    /// On the last stage the moments of the positions are zero; the copies that are written of the
    /// first stage's are not.
    @ParameterizedTest
    @ValueSource(ints = {3, 4})
    void goesToOtherStagesAndBack(int stages) throws IOException {
        Path there = run(SAVED, stages, SPEC, "there");

        Path back = run(there, 2, Optional.empty(), "back");

        Map<String, String> saved = new TreeMap<>(Leaves.of(SAVED));
        Map<String, String> found = new TreeMap<>(Leaves.of(back));
        assertThat(found.keySet()).isEqualTo(saved.keySet());
        assertThat(saved.keySet())
                .filteredOn(leaf -> !Objects.equals(saved.get(leaf), found.get(leaf)))
                .containsExactlyInAnyOrder(
                        "global_step3/mp_rank_01_model_states.pt:/'optimizer'/'state'/1/'exp_avg'",
                        "global_step3/mp_rank_01_model_states.pt:/'optimizer'/'state'/1/'exp_avg_sq'");
    }

    @Test
    void becomesOneStageWhoseFilesDoNotSayThatLayersShare() throws IOException {
        Path one = run(SAVED, 1, SPEC, "one");

        Described described = Described.of(one, Optional.empty(), Optional.empty(), Map.of());
        assertThat(described.source().index().findings())
                .anyMatch(f -> f.message().contains("whether layers share a module"));
        assertThat(described.inventory().parameters()).hasSize(28);
    }

    @Test
    void copiesOfAStageThatDifferAreRefusedWithoutAWordOnThem() {
        assertThatThrownBy(() -> run(SAVED, 4, Optional.empty(), "no"))
                .hasMessageContaining("tied_modules.1.position.weight: exp_avg")
                .hasMessageContaining("differ between pp 0, tp 0 and pp 1, tp 0")
                .hasMessageContaining("take first");
        assertThat(folder.resolve("no")).doesNotExist();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 4})
    void statesOfACopyThatDifferAreRefused(int stages) throws IOException {
        Path source = folder.resolve("source");
        GeneratedCheckpoint.of(GeneratedCheckpoint.pipeline(4, 1, 2))
                .degrees(2, 1, 1)
                .withoutZero(Wrapper.ZERO)
                .configured()
                .editing(
                        (file, root) ->
                                file.equals("mp_rank_01_model_states.pt") ? swapped(root) : root)
                .writeTo(source);

        assertThatThrownBy(() -> run(source, stages, Optional.empty(), "no"))
                .hasMessageContaining("tied_modules.1.word_embeddings.weight: exp_avg")
                .hasMessageContaining("expected equal replicas");
        assertThat(folder.resolve("no")).doesNotExist();
    }

    /// The moments of the first parameter of a stage in each other's place.
    private static PyDict swapped(PyDict root) {
        PyDict optimizer = dict(root.find("optimizer"));
        PyDict states = dict(optimizer.find("state"));
        PyDict first = dict(states.find(0));
        PyDict turned =
                first.with("exp_avg", first.find("exp_avg_sq").orElseThrow())
                        .with("exp_avg_sq", first.find("exp_avg").orElseThrow());
        return root.with("optimizer", optimizer.with("state", states.with(PyInt.of(0), turned)));
    }

    private static PyDict dict(Optional<PickleValue> value) {
        return value.flatMap(PickleValue::asDict).orElseThrow();
    }
}
