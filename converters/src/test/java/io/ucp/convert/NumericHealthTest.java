package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.checkpoint.Copy;
import io.ucp.checkpoint.Fragment;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.convert.NumericHealth.Kind;
import io.ucp.convert.NumericHealth.Thresholds;
import io.ucp.convert.Verification.Difference;
import io.ucp.execute.Progress;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.Scalar;
import io.ucp.io.PlainFile;
import io.ucp.layout.Agreement;
import io.ucp.plan.IndexedJob;
import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

class NumericHealthTest {
    private static final int COUNT = 1000;

    @TempDir Path folder;

    private final Map<String, DType> dtypes = new LinkedHashMap<>();
    private final Map<String, StateHolding> holdings = new LinkedHashMap<>();
    private Map<String, Scalar> scalars = Map.of();

    private void state(String name, DType dtype, double... values) throws IOException {
        ByteBuffer bytes =
                ByteBuffer.allocate(values.length * dtype.width()).order(ByteOrder.LITTLE_ENDIAN);
        for (int k = 0; k < values.length; k++) {
            Floats.put(dtype, bytes, k * dtype.width(), values[k]);
        }
        Path path = Files.write(folder.resolve(name), bytes.array());
        Shape shape = Shape.of(values.length);
        Fragment all = new Fragment(PlainFile.of(path), 0, dtype, Piece.whole(shape));
        dtypes.put(name, dtype);
        holdings.put(
                name,
                StateHolding.of(dtype, List.of(new Copy("all", List.of(all))), Agreement.EQUAL));
    }

    private NumericHealth.Result measure(Thresholds thresholds) throws IOException {
        Shape shape = Shape.of(COUNT);
        ParameterFacts facts =
                new ParameterFacts(
                        "w",
                        shape,
                        shape,
                        dtypes,
                        scalars,
                        ParameterFacts.Split.UNKNOWN,
                        true,
                        false,
                        0,
                        List.of(),
                        Map.of(),
                        List.of());
        return NumericHealth.of(
                IndexedJob.inventory(List.of(new Parameter(facts, holdings))),
                thresholds,
                RunOptions.standard().withWindowBytes(60),
                Progress.NONE);
    }

    private List<String> findings(Thresholds thresholds) throws IOException {
        return measure(thresholds).verdict().differences().stream()
                .map(d -> d.state() + ": " + d.what())
                .toList();
    }

    private List<String> findings() throws IOException {
        return findings(Thresholds.STANDARD);
    }

    /// No two alike, none odd.
    private static double[] numbers() {
        double[] values = new double[COUNT];
        Arrays.setAll(values, k -> 0.25 + k / 1024.0);
        return values;
    }

    private static double[] with(int index, double value) {
        double[] values = numbers();
        values[index] = value;
        return values;
    }

    private static double[] all(double value) {
        double[] values = new double[COUNT];
        Arrays.fill(values, value);
        return values;
    }

    @Test
    void soundStatesAreCountedAndNothingIsFound() throws IOException {
        state("weight", DType.BFLOAT16, numbers());
        state("fp32", DType.FLOAT32, numbers());
        state("exp_avg_sq", DType.FLOAT32, with(7, 0));
        NumericHealth.Result result = measure(Thresholds.STANDARD);
        assertThat(result.verdict().differences()).isEmpty();
        assertThat(result.states()).hasSize(3);
        NumberCount.Numbers n = result.states().getLast().numbers();
        assertThat(n.count()).isEqualTo(COUNT);
        assertThat(n.zero()).isEqualTo(1);
        assertThat(n.least()).isZero();
        assertThat(n.greatest()).isEqualTo(0.25 + 999 / 1024.0);
    }

    @Test
    void nanAndInfinitiesAreCountedAndPlaced() throws IOException {
        double[] values = with(700, Double.NaN);
        values[600] = Double.NaN;
        values[33] = Double.NEGATIVE_INFINITY;
        state("fp32", DType.FLOAT32, values);
        assertThat(findings())
                .containsExactly(
                        "fp32: 2 NaN, the first at index 600",
                        "fp32: 1 infinite, the first at index 33");
    }

    @Test
    void momentsThatAreZeroOrConstantOrNegativeAreFound() throws IOException {
        state("weight", DType.FLOAT32, all(1));
        state("exp_avg", DType.FLOAT32, all(0));
        state("momentum", DType.FLOAT32, all(0.5));
        state("exp_avg_sq", DType.FLOAT32, with(5, -1));
        assertThat(findings())
                .containsExactly(
                        "exp_avg: all 1,000 elements are zero",
                        "momentum: all 1,000 elements are 0.5",
                        "exp_avg_sq: 1 elements are negative, the least -1.0; it sums squares");
    }

    @Test
    void momentsBeforeTheFirstStepAreZero() throws IOException {
        scalars = Map.of("step", new Scalar(DType.FLOAT32, new byte[4]));
        state("exp_avg", DType.FLOAT32, all(0));
        assertThat(findings()).isEmpty();
    }

    @Test
    void denormalsAreFoundWhereTheyAreMany() throws IOException {
        double[] values = numbers();
        Arrays.fill(values, 0, 600, 1e-40);
        state("fp32", DType.FLOAT32, values);
        assertThat(findings()).containsExactly("fp32: 600 of 1,000 elements are denormal");
        assertThat(findings(new Thresholds(Set.of(), 0.7, 0))).isEmpty();
        state("fp32", DType.FLOAT64, values);
        assertThat(findings()).isEmpty();
    }

    @Test
    void weightsAwayFromTheirMasterAreFound() throws IOException {
        state("weight", DType.BFLOAT16, with(40, 0.5));
        state("fp32", DType.FLOAT32, numbers());
        assertThat(findings())
                .singleElement()
                .asString()
                .startsWith(
                        "weight: 1 elements are not their master rounded, the first at index 40, by"
                                + " at most 0.210938");
        assertThat(findings(new Thresholds(Set.of(), 0.5, 1000))).isEmpty();
        assertThat(findings(new Thresholds(Set.of(Kind.DRIFT), 0.5, 0))).isEmpty();
    }

    @Test
    void whatIsIgnoredIsNotReported() throws IOException {
        state("exp_avg", DType.FLOAT32, all(0));
        assertThat(findings(new Thresholds(Set.of(Kind.ZERO), 0.5, 0))).isEmpty();
        assertThat(measure(Thresholds.STANDARD).verdict().differences())
                .extracting(Difference::parameter)
                .containsExactly("w");
    }
}
