package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.checkpoint.Fragment;
import io.ucp.convert.CheckpointDiff.StateDifference;
import io.ucp.convert.CheckpointDiff.Tolerance;
import io.ucp.execute.Progress;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/// What was changed in a copy by hand is found, and by how much.
class CheckpointDiffTest {
    private static final Path SAMPLE =
            Path.of("..", "samples", "gpt2-zero2-tied-frozen", "checkpoint");

    @TempDir Path folder;
    private Path copy;
    private Described source;
    private String parameter;

    @BeforeEach
    void copy() throws IOException {
        copy = folder.resolve("copy");
        Request request =
                new Request(
                        SAMPLE,
                        Optional.empty(),
                        "universal",
                        Optional.empty(),
                        Map.of(),
                        Map.of());
        Conversion.run(Conversion.prepare(request), copy, RunOptions.standard(), Progress.NONE);
        source = describe(SAMPLE);
        parameter =
                source.inventory().parameters().stream()
                        .filter(p -> p.states().containsKey("exp_avg"))
                        .findFirst()
                        .orElseThrow()
                        .name();
    }

    private static Described describe(Path path) throws IOException {
        return Described.of(path, Optional.empty(), Optional.empty(), Map.of());
    }

    /// Sets an element of `exp_avg` of the parameter.
    private void set(long index, float value) throws IOException {
        Fragment held =
                Objects.requireNonNull(
                                describe(copy)
                                        .inventory()
                                        .find(parameter)
                                        .orElseThrow()
                                        .states()
                                        .get("exp_avg"))
                        .copies()
                        .getFirst()
                        .fragments()
                        .getFirst();
        assertThat(held.dtype()).isEqualTo(DType.FLOAT32);
        byte[] bytes =
                ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(value).array();
        try (RandomAccessFile file = new RandomAccessFile(held.source().path().toFile(), "rw")) {
            file.seek(held.offset() + index * 4);
            file.write(bytes);
        }
    }

    private CheckpointDiff.Result diff(Tolerance tolerance) throws IOException {
        return CheckpointDiff.of(
                source, describe(copy), tolerance, RunOptions.standard(), Progress.NONE);
    }

    @Test
    void equalStatesInOtherFormatsDifferInNothing() throws IOException {
        CheckpointDiff.Result result = diff(Tolerance.NONE);
        assertThat(result.equal()).isTrue();
        assertThat(result.compared()).isPositive();
    }

    @Test
    void differencesAreMeasured() throws IOException {
        set(10, 1000);
        set(12, -3000);
        StateDifference state = diff(Tolerance.NONE).states().getFirst();
        assertThat(state.parameter()).isEqualTo(parameter);
        assertThat(state.state()).isEqualTo("exp_avg");
        assertThat(state.elements()).isEqualTo(2);
        assertThat(state.index()).isEqualTo(10);
        CheckpointDiff.Numbers numbers = state.numbers().orElseThrow();
        assertThat(numbers.largest()).isBetween(2999.0, 3001.0);
        assertThat(numbers.mean() * state.shape().count()).isBetween(3999.0, 4001.0);
        assertThat(numbers.ulps()).isGreaterThan(1_000_000);
    }

    @Test
    void whatIsWithinTheToleranceIsNoDifference() throws IOException {
        set(10, 1000);
        assertThat(diff(new Tolerance(Optional.of(999.0), Optional.empty())).equal()).isFalse();
        CheckpointDiff.Result within = diff(new Tolerance(Optional.of(1001.0), Optional.empty()));
        assertThat(within.equal()).isTrue();
        assertThat(within.within()).isEqualTo(1);
        assertThat(diff(new Tolerance(Optional.empty(), Optional.of(1L << 40))).equal()).isTrue();
    }

    @Test
    void nanIsWithinNoTolerance() throws IOException {
        set(10, Float.NaN);
        CheckpointDiff.Result result =
                diff(new Tolerance(Optional.of(1e300), Optional.of(1L << 40)));
        assertThat(result.equal()).isFalse();
        assertThat(result.states().getFirst().numbers().orElseThrow().largest()).isNaN();
    }

    @Test
    void recordedDigestsFindWhatChanged() throws IOException {
        Path file = folder.resolve("digests.json");
        Map<String, Map<String, String>> digests =
                Digests.of(source.inventory(), RunOptions.standard(), Progress.NONE);
        DigestFile.of(source.inventory(), digests).write(file);
        DigestFile read = DigestFile.read(file);
        assertThat(read).isEqualTo(DigestFile.of(source.inventory(), digests));
        assertThat(against(read).differences()).isEmpty();
        set(10, 1000);
        assertThat(against(read).differences())
                .singleElement()
                .satisfies(
                        d -> {
                            assertThat(d.parameter()).isEqualTo(parameter);
                            assertThat(d.state()).isEqualTo("exp_avg");
                        });
    }

    @Test
    void recordedDigestsNameWhatIsMissingAndWhatIsNew() {
        DigestFile.State a = new DigestFile.State("a", "fp32", "float32", Shape.of(2), "1");
        DigestFile.State b = new DigestFile.State("b", "fp32", "float32", Shape.of(2), "1");
        DigestFile.State wide = new DigestFile.State("b", "fp32", "float64", Shape.of(2), "2");
        assertThat(
                        new DigestFile(List.of(a), List.of())
                                .differences(new DigestFile(List.of(b), List.of())))
                .extracting(d -> d.parameter() + " " + d.what())
                .containsExactly(
                        "a recorded, and not in the checkpoint",
                        "b in the checkpoint, and not recorded");
        assertThat(
                        new DigestFile(List.of(b), List.of())
                                .differences(new DigestFile(List.of(wide), List.of())))
                .extracting(Verification.Difference::what)
                .containsExactly("[2] float64; recorded was [2] float32");
    }

    private Verification.Verdict against(DigestFile file) throws IOException {
        return Verification.check(
                describe(copy), Optional.of(file), RunOptions.standard(), Progress.NONE);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "[]",
                "{\"format\": \"ucp-digests\"",
                "{\"format\": \"other\", \"version\": 1}",
                "{\"format\": \"ucp-digests\", \"version\": 2, \"digest\": \"crc32c+crc32\"}",
                "{\"format\": \"ucp-digests\", \"version\": 1, \"digest\": \"crc32c+crc32\","
                        + " \"states\": [{}]}",
                "{\"format\": \"ucp-digests\", \"version\": 1, \"digest\": \"crc32c+crc32\","
                        + " \"states\": [{\"shape\": [-1]}]}",
                "{\"format\": \"ucp-digests\", \"version\": 1, \"digest\": \"crc32c+crc32\","
                    + " \"states\": [{\"parameter\": \"a\", \"state\": \"b\", \"dtype\": \"c\","
                    + " \"digest\": \"d\", \"shape\": [9223372036854775807, 9223372036854775807]}]}"
            })
    void whatIsNoDigestFileIsRefused(String text) throws IOException {
        Path file = Files.writeString(folder.resolve("digests.json"), text);
        assertThatThrownBy(() -> DigestFile.read(file))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("hint: `ucp digest CKPT --record FILE` writes one");
    }
}
