package io.ucp.plan;

import static io.ucp.plan.IndexedJob.STATE;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.checkpoint.Copy;
import io.ucp.checkpoint.Fragment;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.formats.Elementwise;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.io.PlainFile;
import io.ucp.layout.Agreement;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

class PlannerTest {
    private static final Shape SHAPE = Shape.of(8, 6);
    private static final PlainFile FILE = new PlainFile(Path.of("rank0.pt"), 1 << 20);

    @Test
    void aMissingShardIsNamedByItsIndexRange() {
        Inventory source = source(DType.FLOAT32, Agreement.EQUAL, rows(0, 4), rows(6, 8));
        assertThatThrownBy(() -> Planner.plan(source, List.of(whole(DType.FLOAT32))))
                .isInstanceOf(ImpossiblePlanException.class)
                .hasMessage(
                        "out.bin: w/fp32: elements [4:6, 0:6] of [8, 6] are held by no file"
                                + " (copy `tp 0`); expected each element once");
    }

    @Test
    void aShardHeldTwiceIsNamedByItsIndexRange() {
        Inventory source =
                source(DType.FLOAT32, Agreement.EQUAL, rows(0, 4), rows(4, 8), rows(2, 4));
        assertThatThrownBy(() -> Planner.plan(source, List.of(whole(DType.FLOAT32))))
                .isInstanceOf(ImpossiblePlanException.class)
                .hasMessageContaining("elements [2:4, 0:6] of [8, 6] are held twice");
    }

    @Test
    void whatTheSourceLacksIsNamed() {
        Inventory source = source(DType.FLOAT32, Agreement.EQUAL, rows(0, 8));
        assertThatThrownBy(() -> Planner.plan(source, List.of(target("v", STATE))))
                .hasMessage("out.bin: v: the source has no such parameter; expected one of its 1");
        assertThatThrownBy(() -> Planner.plan(source, List.of(target("w", "exp_avg"))))
                .hasMessage(
                        "out.bin: w: the source holds no state `exp_avg` of it; expected one of"
                                + " [fp32]");
    }

    @Test
    void aCastThatLosesMoreThanRoundingIsRefused() {
        Inventory source = source(DType.FLOAT32, Agreement.EQUAL, rows(0, 8));
        assertThat(Planner.plan(source, List.of(whole(DType.BFLOAT16))).size())
                .isEqualTo(8 * 6 * 2);
        assertThatThrownBy(() -> Planner.plan(source, List.of(whole(DType.INT32))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("a cast from float32 to int32");
        Copy copy = new Copy("tp 0", List.of(new Fragment(FILE, 0, DType.INT32, rows(0, 8))));
        Inventory averaged =
                source(StateHolding.of(DType.INT32, List.of(copy, copy), Agreement.AVERAGE));
        assertThatThrownBy(() -> Planner.plan(averaged, List.of(whole(DType.INT32))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("an average of int32");
    }

    @Test
    void runsThatContinueEachOtherAreOneOrigin() {
        List<Piece> flat = new ArrayList<>(Piece.whole(SHAPE).cut(0, 20));
        Piece.whole(SHAPE).cut(20, 48).forEach(p -> flat.add(p.moved(20)));
        Inventory source = source(DType.FLOAT32, Agreement.EQUAL, flat.toArray(Piece[]::new));
        assertThat(flat).hasSizeGreaterThan(2);
        CopyPlan plan = Planner.plan(source, List.of(whole(DType.FLOAT32)));
        assertThat(plan.targets().getFirst().steps())
                .singleElement()
                .isInstanceOfSatisfying(
                        Step.Elements.class,
                        e -> assertThat(e.copies().getFirst().origins().items()).hasSize(1));
    }

    @Test
    void replicasAreReadAtThePlaceThatHoldsTheStateWholeOnly() {
        Copy copy = copy(rows(0, 8));
        StateHolding holding = StateHolding.of(DType.FLOAT32, List.of(copy, copy), Agreement.EQUAL);
        Inventory source = source(holding);
        Elementwise half = new Elementwise("w", STATE, DType.FLOAT32, 24, List.of(rows(0, 4)));
        TargetFile part =
                new TargetFile(
                        "half.bin",
                        96,
                        List.of(new Part.Elements(0, half)),
                        List.of(),
                        Optional.empty());
        CopyPlan plan = Planner.plan(source, List.of(part, whole(DType.FLOAT32)));
        assertThat(plan.targets())
                .extracting(t -> ((Step.Elements) t.steps().getFirst()).copies().size())
                .containsExactly(1, 2);
        assertThat(plan.labels())
                .singleElement()
                .satisfies(l -> assertThat(l.digestSize()).hasValue(192));
        assertThat(Planner.plan(source, List.of(part)).targets())
                .extracting(t -> ((Step.Elements) t.steps().getFirst()).copies().size())
                .containsExactly(2);
    }

    @Test
    void comparingSaysWhatOnlyOneSideHoldsAndWhatIsUnlike() {
        Inventory first = source(DType.FLOAT32, Agreement.EQUAL, rows(0, 8));
        Inventory other = source(DType.BFLOAT16, Agreement.EQUAL, rows(0, 8));
        Comparison unlike = Planner.compare(first, other);
        assertThat(unlike.plan().targets()).isEmpty();
        assertThat(unlike.unlike())
                .containsExactly(
                        new Comparison.Unlike("w", STATE, "[8, 6] float32", "[8, 6] bfloat16"));
        Inventory none = IndexedJob.inventory(List.of());
        assertThat(Planner.compare(first, none).onlyFirst()).containsExactly("w/fp32");
        assertThat(Planner.compare(none, first).onlySecond()).containsExactly("w/fp32");
    }

    @Test
    void planningManyRanksIsLinear() {
        // 64 x 64 shards of each of 40 parameters, to 64 x 32: all pairs would be 10^9.
        Shape shape = Shape.of(4096, 4096);
        List<Parameter> parameters = new ArrayList<>();
        List<TargetFile> files = new ArrayList<>();
        for (int k = 0; k < 40; k++) {
            String name = "w" + k;
            List<Fragment> fragments = new ArrayList<>();
            for (Piece p : grid(shape, 64, 64)) {
                fragments.add(new Fragment(FILE, 0, DType.FLOAT32, p));
            }
            IndexedJob.Tensor t = new IndexedJob.Tensor(name, shape, shape, DType.FLOAT32);
            parameters.add(
                    new Parameter(
                            t.facts(),
                            Map.of(
                                    STATE,
                                    StateHolding.of(
                                            DType.FLOAT32,
                                            List.of(new Copy("tp 0", fragments)),
                                            Agreement.EQUAL))));
            int n = 0;
            for (Piece p : grid(shape, 64, 32)) {
                Elementwise of = new Elementwise(name, STATE, DType.FLOAT32, p.count(), List.of(p));
                files.add(
                        new TargetFile(
                                name + "/" + n++,
                                of.size(),
                                List.of(new Part.Elements(0, of)),
                                List.of(),
                                Optional.empty()));
            }
        }
        CopyPlan plan = Planner.plan(IndexedJob.inventory(parameters), files);
        assertThat(plan.targets()).hasSize(40 * 64 * 32);
        assertThat(plan.size()).isEqualTo(40 * 4096L * 4096 * 4);
    }

    private static List<Piece> grid(Shape shape, int down, int across) {
        List<Piece> pieces = new ArrayList<>();
        long[] extent = {shape.dim(0) / down, shape.dim(1) / across};
        for (int r = 0; r < down; r++) {
            for (int c = 0; c < across; c++) {
                pieces.add(Piece.box(shape, new long[] {r * extent[0], c * extent[1]}, extent));
            }
        }
        return pieces;
    }

    private static Piece rows(long from, long to) {
        return Piece.box(SHAPE, new long[] {from, 0}, new long[] {to - from, 6});
    }

    private static Copy copy(Piece... pieces) {
        List<Fragment> fragments = new ArrayList<>();
        for (Piece p : pieces) {
            fragments.add(new Fragment(FILE, 0, DType.FLOAT32, p));
        }
        return new Copy("tp 0", fragments);
    }

    private static Inventory source(DType dtype, Agreement agreement, Piece... pieces) {
        List<Fragment> fragments = new ArrayList<>();
        for (Piece p : pieces) {
            fragments.add(new Fragment(FILE, 0, dtype, p));
        }
        return source(StateHolding.of(dtype, List.of(new Copy("tp 0", fragments)), agreement));
    }

    private static Inventory source(StateHolding holding) {
        IndexedJob.Tensor t = new IndexedJob.Tensor("w", SHAPE, SHAPE, holding.dtype());
        return IndexedJob.inventory(List.of(new Parameter(t.facts(), Map.of(STATE, holding))));
    }

    private static TargetFile whole(DType dtype) {
        return target("w", STATE, dtype);
    }

    private static TargetFile target(String parameter, String state) {
        return target(parameter, state, DType.FLOAT32);
    }

    private static TargetFile target(String parameter, String state, DType dtype) {
        Elementwise of = new Elementwise(parameter, state, dtype, 48, List.of(Piece.whole(SHAPE)));
        return new TargetFile(
                "out.bin",
                of.size(),
                List.of(new Part.Elements(0, of)),
                List.of(),
                Optional.empty());
    }
}
