package io.ucp.formats.hub;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// The model's own copy of every parameter, as a folder of a model holds it: the state `weight`, or
/// the master rounded to the dtype of the model's weights. Rows of padding are left out.
public final class ModelWeights {
    public static final String WEIGHT = "weight";
    public static final String FP32 = "fp32";

    private final Optional<DType> asked;
    private final Optional<DType> ofModel;
    private final List<ParameterFacts> rounded = new ArrayList<>();
    private final List<ParameterFacts> masters = new ArrayList<>();
    private final List<ParameterFacts> without = new ArrayList<>();
    private final Map<String, Elementwise> weights = new LinkedHashMap<>();
    private final List<String> notes = new ArrayList<>();

    private ModelWeights(Optional<DType> asked, Optional<DType> ofModel) {
        this.asked = asked;
        this.ofModel = ofModel;
    }

    /// @param asked the dtype that the weights are to have; absent where they stay as they are
    /// @param config of the model
    public static ModelWeights of(WriteRequest request, Optional<DType> asked, ModelConfig config) {
        Optional<DType> ofModel =
                ofWeights(request.parameters())
                        .or(config::dtype)
                        .or(() -> ofJob(request.carried()))
                        .filter(Floats::covers);
        ModelWeights weights = new ModelWeights(asked, ofModel);
        request.parameters().forEach(weights::add);
        weights.note(config);
        return weights;
    }

    /// Parameter -> the elements that its file holds, in the order of the parameters.
    public Map<String, Elementwise> byParameter() {
        return weights;
    }

    /// What is done otherwise than one might think.
    public List<String> notes() {
        return notes;
    }

    /// Parameters that have neither a weight nor a master.
    public List<String> missing() {
        return without.stream().map(ParameterFacts::name).toList();
    }

    /// The one dtype of all weights that are numbers.
    private static Optional<DType> ofWeights(List<ParameterFacts> parameters) {
        Set<DType> found = EnumSet.noneOf(DType.class);
        for (ParameterFacts p : parameters) {
            DType dtype = p.states().get(WEIGHT);
            if (dtype != null && Floats.covers(dtype) && !p.buffer()) {
                found.add(dtype);
            }
        }
        return found.size() == 1 ? Optional.of(found.iterator().next()) : Optional.empty();
    }

    /// What the configuration of the job that wrote the state says, where it was DeepSpeed's.
    private static Optional<DType> ofJob(List<CarriedFile> carried) {
        for (CarriedFile file : carried) {
            for (String name : List.of("bf16", "bfloat16", "fp16")) {
                boolean enabled =
                        file.root()
                                .flatMap(root -> root.find("ds_config", name, "enabled"))
                                .flatMap(PickleValue::asBool)
                                .orElse(false);
                if (enabled) {
                    return Optional.of(name.equals("fp16") ? DType.FLOAT16 : DType.BFLOAT16);
                }
            }
        }
        return Optional.empty();
    }

    private void add(ParameterFacts p) {
        Optional<String> held = p.heldAs(WEIGHT);
        if (held.isEmpty()) {
            without.add(p);
            return;
        }
        DType own = dtypeOf(p, held.get());
        String state = held.get();
        DType dtype = own;
        if (asked.isPresent() && Floats.covers(own) && !p.buffer()) {
            // Rounding once from the master is exact; rounding its rounded copy again is not.
            state = p.states().containsKey(FP32) && own != asked.get() ? FP32 : state;
            dtype = asked.get();
        } else if (state.equals(FP32)) {
            dtype = ofModel.orElse(own);
            if (ofModel.isEmpty()) {
                masters.add(p);
            } else if (dtype != own) {
                rounded.add(p);
            }
        }
        weights.put(p.name(), elements(p, state, dtype));
    }

    private static DType dtypeOf(ParameterFacts p, String state) {
        return Optional.ofNullable(p.states().get(state)).orElseThrow();
    }

    /// The real elements of a state.
    public static Elementwise elements(ParameterFacts p, String state, DType dtype) {
        Shape real = p.realShape();
        List<Piece> pieces =
                real.count() == 0
                        ? List.of()
                        : List.of(Piece.box(p.shape(), new long[real.rank()], real.dims()));
        return new Elementwise(p.name(), state, dtype, real.count(), pieces);
    }

    private void note(ModelConfig config) {
        if (!rounded.isEmpty()) {
            notes.add(
                    "the weights of %s are the fp32 master rounded to %s"
                            .formatted(counted(rounded), ofModel.orElseThrow().torchName()));
        }
        if (!masters.isEmpty()) {
            notes.add(
                    ("nothing says the dtype of the model's weights: those of %s are the master,"
                                    + " not rounded (--dtype rounds)")
                            .formatted(counted(masters)));
        }
        Optional<DType> says = config.dtype();
        if (asked.isPresent() && says.isPresent() && !says.equals(asked)) {
            notes.add(
                    "%s says dtype %s and the weights are %s"
                            .formatted(
                                    ModelConfig.FILE,
                                    says.get().torchName(),
                                    asked.get().torchName()));
        }
    }

    /// `lm_head.weight`, `lm_head.weight and 29 more parameters`.
    public static String counted(List<ParameterFacts> parameters) {
        int more = parameters.size() - 1;
        return parameters.getFirst().name()
                + (more == 0
                        ? ""
                        : " and %d more parameter%s".formatted(more, more == 1 ? "" : "s"));
    }
}
