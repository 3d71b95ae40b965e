package io.ucp.formats.training;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Stream;

/// The facts of a job that frameworks have in common.
///
/// @param iteration steps of the optimizer so far
/// @param trainSamples consumed
/// @param validSamples consumed
/// @param skippedSteps whose gradients overflowed
/// @param sampleTokens tokens of a sample
/// @param groups number of an optimizer group, as parameters name it -> its settings, without its
///   members
/// @param schedule of learning rate and weight decay, in the words of Megatron-LM's
///   `OptimizerParamScheduler`, which Megatron-DeepSpeed shares
/// @param rest what else the job kept, by the names it has there
public record TrainingState(
        OptionalLong iteration,
        OptionalLong trainSamples,
        OptionalLong validSamples,
        OptionalLong skippedSteps,
        OptionalLong sampleTokens,
        Map<Integer, PyDict> groups,
        Optional<PyDict> schedule,
        List<String> rest) {
    /// Of weights alone.
    public static final TrainingState NONE =
            new TrainingState(
                    OptionalLong.empty(),
                    OptionalLong.empty(),
                    OptionalLong.empty(),
                    OptionalLong.empty(),
                    OptionalLong.empty(),
                    Map.of(),
                    Optional.empty(),
                    List.of());

    /// Roles of files that such facts are read from, or whose tensors are parameters: what else
    /// they hold is in [#rest].
    public static final Set<String> ROLES =
            Set.of(
                    DeepSpeedJob.MODEL,
                    DeepSpeedJob.OPTIMIZER,
                    DeepSpeedJob.COMMON,
                    "layer",
                    "expert",
                    MegatronJob.MODEL,
                    MegatronJob.OBJECTS,
                    "layer_states");

    private static final int NAMED = 12;

    public TrainingState {
        groups = Map.copyOf(groups);
        rest = List.copyOf(rest);
    }

    /// Of a state that another framework is to load. Names of parameters do not matter, so that a
    /// renamed state's files say as much.
    public static TrainingState of(WriteRequest request) {
        Map<String, List<CarriedFile>> roles = new LinkedHashMap<>();
        List<CarriedFile> all = new ArrayList<>(request.carried());
        all.addAll(request.foreign());
        for (CarriedFile file : all) {
            if (file.root().isPresent()) {
                roles.computeIfAbsent(file.roleBefore(), _ -> new ArrayList<>()).add(file);
            }
        }
        if (roles.containsKey(DeepSpeedJob.MODEL)) {
            return new DeepSpeedJob(roles).state();
        }
        if (roles.containsKey(MegatronJob.MODEL)) {
            return new MegatronJob(roles).state();
        }
        return Stream.of(StateDictKeys.SHARDED, StateDictKeys.ROLE)
                .flatMap(role -> roles.getOrDefault(role, List.of()).stream())
                .findFirst()
                .map(StateDictKeys::state)
                .orElse(NONE);
    }

    /// Of a group that parameters name: where a job has one alone, it is everybody's; experts that
    /// share an optimizer with the rest have the rest's.
    public Optional<PyDict> group(int number) {
        PyDict own = groups.get(number);
        if (own == null && groups.size() == 1) {
            own = groups.values().iterator().next();
        }
        return Optional.ofNullable(own != null ? own : groups.get(number ^ 2));
    }

    /// Steps so far: as the job says, else as its optimizer counted them.
    public OptionalLong steps(WriteRequest request) {
        if (iteration.isPresent()) {
            return iteration;
        }
        return request.iteration().isPresent()
                ? request.iteration()
                : Steps.of(request.parameters());
    }

    /// What to tell of [#steps], where only the optimizer counted them.
    public Optional<String> counted(WriteRequest request) {
        boolean told = iteration.isPresent() || request.iteration().isPresent();
        OptionalLong steps = steps(request);
        return told || steps.isEmpty()
                ? Optional.empty()
                : Optional.of(
                        "iteration %d is the step of the optimizer: the source counts no other"
                                .formatted(steps.getAsLong()));
    }

    /// What the target has no place for, as one line; nothing where that is nothing.
    public Optional<String> lost(String target, List<String> more) {
        List<String> all = new ArrayList<>(more);
        all.addAll(rest);
        int unnamed = all.size() - NAMED;
        return all.isEmpty()
                ? Optional.empty()
                : Optional.of(
                        "of the job, for which %s has no place: %s%s"
                                .formatted(
                                        target,
                                        String.join(
                                                ", ", all.subList(0, Math.min(NAMED, all.size()))),
                                        unnamed > 0 ? " and %d more".formatted(unnamed) : ""));
    }
}
