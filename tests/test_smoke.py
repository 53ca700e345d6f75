def test_smoke(bundle, short_bundle, plan, trace):
    print(plan, trace.scores[:, :, 0])
