package io.ucp.formats.mcore;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.formats.training.TrainingState;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// The settings of Megatron-LM's two groups, made of those that another framework's groups had.
class MadeSettingsTest {
    private static final Map<String, DType> ADAM =
            Map.of(
                    "weight", DType.BFLOAT16,
                    "fp32", DType.FLOAT32,
                    "exp_avg", DType.FLOAT32,
                    "exp_avg_sq", DType.FLOAT32);

    private final List<ParameterFacts> parameters = new ArrayList<>();
    private final Map<Integer, PyDict> groups = new LinkedHashMap<>();
    private final List<String> losses = new ArrayList<>();

    private static Scalar step(int step) {
        return new Scalar(DType.INT32, new byte[] {(byte) step, 0, 0, 0});
    }

    private void parameter(
            String name, int group, Map<String, DType> states, int step, long... dims) {
        Shape shape = Shape.of(dims);
        parameters.add(
                new ParameterFacts(
                        name,
                        shape,
                        shape,
                        states,
                        step < 0 ? Map.of() : Map.of("step", step(step)),
                        Split.UNKNOWN,
                        true,
                        false,
                        group,
                        List.of(),
                        Map.of(),
                        List.of()));
    }

    private void matrix(String name, int group) {
        parameter(name, group, ADAM, 3, 4, 4);
    }

    private void vector(String name, int group) {
        parameter(name, group, ADAM, 3, 4);
    }

    private static PyDict settings(double rate, double decay) {
        Map<String, PickleValue> settings = new LinkedHashMap<>();
        settings.put("lr", new PyFloat(rate));
        settings.put("betas", PyTuple.of(new PyFloat(0.9), new PyFloat(0.95)));
        settings.put("eps", new PyFloat(1e-8));
        settings.put("weight_decay", new PyFloat(decay));
        return PyDict.of(settings);
    }

    private Optional<OptimizerSettings> made() {
        WriteRequest request =
                new WriteRequest(
                        "tag",
                        OptionalLong.empty(),
                        new Origin("deepspeed", "tag", -1, List.of(), Optional.empty()),
                        parameters,
                        LayoutHints.NONE,
                        List.of(),
                        Map.of());
        TrainingState none = TrainingState.NONE;
        TrainingState training =
                new TrainingState(
                        none.iteration(),
                        none.trainSamples(),
                        none.validSamples(),
                        none.skippedSteps(),
                        none.sampleTokens(),
                        groups,
                        none.schedule(),
                        List.of());
        return MadeSettings.of(request, training, true, losses);
    }

    private static Optional<PickleValue> setting(OptimizerSettings made, int group, String key) {
        return Optional.ofNullable(made.groups().get(group)).flatMap(g -> g.find(key));
    }

    @Test
    void groupsAreMegatronsAndHaveWhatTheirMembersHad() {
        matrix("a.weight", 0);
        vector("a.bias", 1);
        groups.put(0, settings(0.5, 0.1));
        groups.put(1, settings(0.25, 0));
        OptimizerSettings made = made().orElseThrow();
        assertThat(made.groups()).containsOnlyKeys(0, 1);
        assertThat(setting(made, 0, "lr")).contains(new PyFloat(0.5));
        assertThat(setting(made, 0, "weight_decay")).contains(new PyFloat(0.1));
        assertThat(setting(made, 1, "lr")).contains(new PyFloat(0.25));
        assertThat(setting(made, 1, "step")).contains(PyInt.of(3));
        assertThat(losses).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"lr", "betas", "eps", "weight_decay"})
    void membersOfOneGroupWithTwoSettingsAreRefused(String key) {
        matrix("a.weight", 0);
        matrix("b.weight", 1);
        groups.put(0, settings(0.5, 0.1));
        groups.put(1, settings(0.5, 0.1).with(key, PyTuple.of(new PyFloat(0.75), new PyFloat(0))));
        assertThatThrownBy(this::made)
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("b.weight")
                .hasMessageContaining(
                        "another `%s` than 'a.weight', in what is one group in Megatron-LM"
                                .formatted(key))
                .hasMessageContaining(
                        "one setting for all parameters that Megatron-LM has in a group");
    }

    @Test
    void aGroupThatDoesNotSayASettingIsRefused() {
        matrix("a.weight", 0);
        groups.put(0, settings(0.5, 0.1).without("eps"));
        assertThatThrownBy(this::made)
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("a.weight")
                .hasMessageContaining("an optimizer group without `eps`");
    }

    @Test
    void decayOfVectorsIsALoss() {
        matrix("a.weight", 0);
        vector("a.bias", 0);
        groups.put(0, settings(0.5, 0.1));
        assertThat(setting(made().orElseThrow(), 1, "weight_decay")).contains(new PyFloat(0));
        assertThat(losses)
                .containsExactly(
                        "weight decay of vectors and biases (1: a.bias, ..): Megatron-LM decays"
                                + " neither");
    }

    private void lost(String why) {
        assertThat(made()).isEmpty();
        assertThat(losses)
                .singleElement()
                .asString()
                .startsWith("states of the optimizer (")
                .contains(why)
                .endsWith("; Megatron-LM begins with new ones (--no-load-optim)");
    }

    @Test
    void anotherOptimizerThanAdamIsALoss() {
        parameter("a.weight", 0, Map.of("weight", DType.FLOAT32, "momentum", DType.FLOAT32), 3, 4);
        groups.put(0, settings(0.5, 0.1));
        lost("'a.weight' has [momentum], and Megatron-LM's Adam exp_avg and exp_avg_sq");
    }

    @Test
    void statesOfAGroupThatIsNotToldAreALoss() {
        matrix("a.weight", 0);
        lost("the source does not say the settings of the group of 'a.weight'");
    }

    @Test
    void statesOfAParameterOfNoGroupAreALoss() {
        matrix("a.weight", -1);
        groups.put(0, settings(0.5, 0.1));
        lost("the source does not say the settings of the group of 'a.weight'");
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 4})
    void statesOfNoOneStepAreALoss(int other) {
        matrix("a.weight", 0);
        parameter("b.weight", 0, ADAM, other, 4, 4);
        groups.put(0, settings(0.5, 0.1));
        lost("its steps are not told, or not one number");
    }

    @Test
    void weightsAloneHaveNoSettingsAndLoseNothing() {
        parameter("a.weight", -1, Map.of("weight", DType.FLOAT32), -1, 4, 4);
        assertThat(made()).isEmpty();
        assertThat(losses).isEmpty();
    }
}
