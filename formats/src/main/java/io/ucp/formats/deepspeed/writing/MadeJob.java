package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.training.DeepSpeedJob;
import io.ucp.formats.training.OptimizerGroups;
import io.ucp.formats.training.TrainingState;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/// The files of a job of DeepSpeed's that there was none of, for a state that another framework
/// wrote: what `load_checkpoint` asks for, as far as the state says it. The shape of the rest is
/// that of a job of one rank, which every rank of the target is made of.
///
/// Source: DeepSpeed `runtime/engine.py` (`_save_checkpoint`, `_load_checkpoint`).
///
/// @param request with these files, and with optimizer groups numbered from 0 on
record MadeJob(WriteRequest request, List<String> losses, List<String> notes) {
    /// Whether no job of DeepSpeed's wrote the state, or it has other names by now.
    static boolean isNeeded(WriteRequest request) {
        return request.carried().stream().noneMatch(f -> f.role().equals(SourceFiles.MODEL_STATES));
    }

    static MadeJob of(WriteRequest request, TargetJob job) {
        return new Maker(request, job).made();
    }

    private static final class Maker {
        private final WriteRequest request;
        private final TargetJob job;
        private final TrainingState training;
        private final boolean weights;
        private final List<String> losses = new ArrayList<>();
        private final List<String> notes = new ArrayList<>();

        /// Numbers of the optimizer groups in the source, in the target's order.
        private final List<Integer> groups = new ArrayList<>();

        private final MadeStates states;

        Maker(WriteRequest asked, TargetJob job) {
            this.job = job;
            this.training = TrainingState.of(asked);
            this.weights = weightsOnly(asked);
            refusePipeline(asked);
            this.request = asked.with(ordered(asked));
            this.states = new MadeStates(request, job, training, groups);
        }

        /// What no order of parameters would help.
        private void refusePipeline(WriteRequest asked) {
            MadeStates before = new MadeStates(asked, job, training, groups);
            before.refuseShared();
            if (!before.pipeline() && job.degree("pp") > 1) {
                throw new RefusedException(
                        asked.tag(),
                        "pp %d of a model whose names are no pipeline's of DeepSpeed's"
                                .formatted(job.degree("pp")),
                        "pp 1, or the names of one",
                        "--pp 1, or --target-spec megatron_deepspeed_llama (`ucp spec list`)");
            }
        }

        MadeJob made() {
            List<ParameterFacts> parameters =
                    request.parameters().stream().map(this::renumbered).toList();
            Map<String, String> options = new HashMap<>(request.options());
            if (weights) {
                options.put("weights-only", "");
            }
            tell();
            WriteRequest of =
                    new WriteRequest(
                            request.tag(),
                            request.iteration(),
                            new Origin("deepspeed", request.tag(), -1, List.of(), Optional.empty()),
                            parameters,
                            request.hints(),
                            states.files(weights),
                            List.of(),
                            options,
                            request.job());
            return new MadeJob(of, losses, notes);
        }

        /// As the optimizer of the target has them, for DeepSpeed finds the states of each by its
        /// place.
        ///
        /// @throws RefusedException where no one says the order
        private List<ParameterFacts> ordered(WriteRequest asked) {
            Map<String, ParameterFacts> held = new LinkedHashMap<>();
            List<ParameterFacts> buffers = new ArrayList<>();
            for (ParameterFacts p : asked.parameters()) {
                if (p.buffer()) {
                    buffers.add(p);
                } else {
                    held.put(p.name(), p);
                }
            }
            Optional<List<String>> order = NamedParameters.of(held.keySet());
            if (order.isEmpty() && weights) {
                return asked.parameters();
            }
            if (order.isEmpty()) {
                throw NamedParameters.refusal(held.keySet());
            }
            List<ParameterFacts> parameters =
                    new ArrayList<>(order.get().stream().map(held::get).toList());
            parameters.addAll(buffers);
            return parameters;
        }

        private void tell() {
            notes.add(
                    "no job of DeepSpeed's with these names wrote the state: its files are made of"
                            + " what the state says, batch sizes and all else are its"
                            + " configuration's");
            if (weights) {
                notes.add("weights alone: load_checkpoint(.., load_module_only=True)");
            } else if (states.schedule().isNone()) {
                notes.add(
                        "a script with a scheduler begins with a new one:"
                                + " load_checkpoint(.., load_lr_scheduler_states=False)");
            }
            if (states.script() && !weights) {
                notes.add(
                        "random generators and `args` are the script's own: Megatron-DeepSpeed"
                                + " needs --no-load-rng");
            }
            training.lost("DeepSpeed", List.of()).ifPresent(losses::add);
            String returned =
                    states.client().entries().stream()
                            .map(e -> e.key().asText().orElseThrow())
                            .filter(k -> !k.equals(DeepSpeedJob.NUMBERS))
                            .collect(Collectors.joining(", "));
            if (!returned.isEmpty()) {
                notes.add("load_checkpoint returns with the script's client state: " + returned);
            }
            training.counted(request).ifPresent(notes::add);
            if (!weights) {
                notes.add(
                        OptimizerGroups.needed(
                                request.parameters().stream().filter(Maker::isTrained).toList(),
                                training::group));
                widened();
            }
        }

        private void widened() {
            for (ParameterFacts p : request.parameters()) {
                if (isTrained(p)
                        && !p.states().containsKey(Held.FP32)
                        && MadeStates.weight(p) != DType.FLOAT32) {
                    notes.add(
                            "fp32 masters are the %s weights, widened: the source has no others"
                                    .formatted(MadeStates.weight(p).torchName()));
                    return;
                }
            }
        }

        private static boolean isTrained(ParameterFacts p) {
            return p.trainable() && !p.buffer();
        }

        /// Asked for, or because there are no states of an optimizer, or none that one could have.
        private boolean weightsOnly(WriteRequest asked) {
            List<ParameterFacts> trained =
                    asked.parameters().stream().filter(Maker::isTrained).toList();
            Set<String> names =
                    trained.stream()
                            .flatMap(p -> p.optimizerStates().stream())
                            .collect(Collectors.toCollection(TreeSet::new));
            if (asked.options().containsKey("weights-only")) {
                return true;
            }
            if (names.isEmpty()) {
                return true;
            }
            Optional<ParameterFacts> without =
                    trained.stream()
                            .filter(
                                    p ->
                                            p.optimizerGroup() < 0
                                                    || training.group(p.optimizerGroup()).isEmpty())
                            .findFirst();
            if (without.isPresent()) {
                losses.add(
                        ("states of the optimizer (%s): the source does not say the settings of the"
                             + " group of '%s', which DeepSpeed would load; it begins with new"
                             + " ones")
                                .formatted(String.join(", ", names), without.get().name()));
                return true;
            }
            trained.stream()
                    .map(ParameterFacts::optimizerGroup)
                    .sorted()
                    .distinct()
                    .forEach(groups::add);
            return false;
        }

        private ParameterFacts renumbered(ParameterFacts p) {
            return p.inGroup(weights || !isTrained(p) ? -1 : groups.indexOf(p.optimizerGroup()));
        }
    }
}
