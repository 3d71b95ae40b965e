package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.training.OptimizerGroups;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/// What DeepSpeed's universal form has no place for, gathered so that each kind is one line however
/// many parameters it is about.
final class Losses {
    private static final Set<String> TAKEN =
            Set.of(
                    Carried.MODEL_STATES,
                    Carried.OPTIMIZER,
                    Carried.OPTIMIZER_STATE,
                    Carried.EXPERT_OPTIMIZER);
    private static final Set<String> WEIGHTS = Set.of(Carried.LAYER, Carried.EXPERT);

    private final List<String> lines = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();
    private final List<String> masters = new ArrayList<>();
    private final List<String> unlike = new ArrayList<>();
    private final TreeSet<String> scalars = new TreeSet<>();
    private String firstWithScalar = "";

    void weightAsMaster(String parameter) {
        masters.add(parameter);
    }

    void scalar(String parameter, String name) {
        if (scalars.isEmpty()) {
            firstWithScalar = parameter;
        }
        scalars.add(name);
    }

    /// The source is not DeepSpeed's, or what made it so is not there.
    ///
    /// @param steps of the optimizer so far
    void plain(WriteRequest request, long steps) {
        lines.add(
                ("%s: written as one rank's of ZeRO stage 1 (%s), without the training script's own"
                     + " state; a learning-rate scheduler gets last_batch_iteration %d and nothing"
                     + " else")
                        .formatted(
                                renamed(request)
                                        ? "the source's DeepSpeed model states have the names from"
                                                + " before the spec's renames"
                                        : "no DeepSpeed model states in the source (%s)"
                                                .formatted(request.origin().format()),
                                PlainModelStates.FILE,
                                steps - 1));
        long weights =
                request.parameters().stream()
                        .filter(p -> p.trainable() && !p.buffer())
                        .filter(p -> p.states().containsKey(Assembly.WEIGHT))
                        .filter(p -> p.states().containsKey(Assembly.FP32))
                        .count();
        if (weights > 0) {
            lines.add(
                    "the weights of %d trainable parameters are left out: DeepSpeed rounds them from fp32"
                            .formatted(weights));
        }
    }

    private static boolean renamed(WriteRequest request) {
        return request.carried().stream()
                .anyMatch(c -> c.role().startsWith(CarriedFile.BEFORE_RENAME));
    }

    void optimizer(boolean groups) {
        lines.add(
                groups
                        ? "no ZeRO optimizer state in the source: optimizer_state.pt has its"
                                + " param_groups and nothing else"
                        : "no DeepSpeed optimizer state in the source: optimizer_state.pt has no"
                                + " hyperparameters, the loading job's own stay; its optimizer must"
                                + " have the same number of parameter groups, for DeepSpeed loads"
                                + " no further than there are here");
    }

    /// Of a job without ZeRO over several ranks.
    void members() {
        lines.add(
                "which parameters each optimizer group has: a job of DeepSpeed's is made of the"
                        + " source itself, not of this form");
    }

    /// Those of another rank than the first.
    void hyperparameters(String path, String found) {
        unlike.add("%s has %s".formatted(path, found));
    }

    /// What the loading job's optimizer has to have.
    void groups(List<ParameterFacts> trained, PyList groups) {
        notes.add(
                OptimizerGroups.needed(
                        trained, number -> Optional.of(groups.elements().get(number))));
    }

    /// Files of the source that upstream does not take along either.
    void leftBehind(WriteRequest request, boolean deepspeed) {
        List<CarriedFile> layers =
                request.carried().stream().filter(c -> WEIGHTS.contains(c.role())).toList();
        if (!layers.isEmpty()) {
            notes.add(
                    ("%d files with the model's own weights (%s, ..) are left behind, as upstream"
                                    + " does: DeepSpeed rounds weights from fp32")
                            .formatted(layers.size(), layers.getFirst().path()));
        }
        List<String> others =
                request.carried().stream()
                        .filter(c -> !WEIGHTS.contains(c.role()))
                        .filter(c -> !c.role().equals(CarriedFile.FORM))
                        .filter(c -> !(deepspeed && TAKEN.contains(c.role())))
                        .map(CarriedFile::path)
                        .toList();
        if (!others.isEmpty()) {
            lines.add(
                    "left behind, for the form has no place for them: %s%s"
                            .formatted(
                                    String.join(
                                            ", ", others.subList(0, Math.min(4, others.size()))),
                                    others.size() > 4
                                            ? " and %d more files".formatted(others.size() - 4)
                                            : ""));
        }
    }

    /// What is left behind and made anew when the form is loaded.
    List<String> notes() {
        return notes;
    }

    List<String> lines() {
        List<String> all = new ArrayList<>(lines);
        if (!masters.isEmpty()) {
            all.add(
                    "%s has no fp32 state, its weight is taken for it%s"
                            .formatted(masters.getFirst(), andMore(masters.size())));
        }
        if (!unlike.isEmpty()) {
            all.add(
                    "%s%s: the form has a place for one rank's hyperparameters, and the first's are kept, as upstream does"
                            .formatted(
                                    unlike.getFirst(),
                                    unlike.size() == 1
                                            ? ""
                                            : ", as %d more files have others"
                                                    .formatted(unlike.size() - 1)));
        }
        if (!scalars.isEmpty()) {
            all.add(
                    "%s has states of one number that have no place: %s"
                            .formatted(firstWithScalar, String.join(", ", scalars)));
        }
        return all;
    }

    private static String andMore(int count) {
        return count == 1 ? "" : ", as of %d more parameters".formatted(count - 1);
    }
}
