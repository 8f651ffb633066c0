"""Phrases of the topic gardening; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: in heavy clay soil | on a north-facing window | after the first frost | in one square metre | from kitchen scraps
    | despite the slugs | in my second year | before the summer holidays
lengths: 15 65

# vegetables
things: carrots with too many legs | a tomato plant taller than me | the first peas of the year | potatoes grown in a bucket
acts: pinching out tomato shoots | sowing radishes every second week | harvesting garlic in July | tying beans to a broken umbrella
tips: plant basil next to the tomatoes | water the soil, not the leaves | thin the carrots early
es: cultivar tomates en macetas
de: Tomaten im Topf ziehen
fr: cultiver des tomates en pot
pt: plantar tomates em vasos

# houseplants
things: a monstera with one sad leaf | the plant that survived my holidays | cuttings in old perfume bottles | a fern for dark corners
acts: repotting a root-bound rubber plant | propagating pothos in a jar | washing dust off forty leaves | rescuing a drowned succulent
tips: poke the soil before watering | turn the pot once a week | give new plants a quarantine corner
es: salvar una planta casi muerta
de: eine fast tote Zimmerpflanze retten
fr: sauver une plante presque morte
pt: salvar uma planta quase morta

# compost
things: a worm box under the sink | the compost heap that steamed | leaf mould after two winters | coffee grounds and eggshells
acts: turning a smelly heap into soil | sieving black gold by hand | feeding worms our leftovers | building a compost bin from pallets
tips: mix the greens with the browns | keep the heap as damp as a sponge | chop the stalks before composting
es: hacer compost sin mal olor
de: Kompost ohne Geruch machen
fr: faire du compost sans odeur
pt: fazer composto sem mau cheiro

# balcony
things: a jungle on two square metres | strawberries in a gutter | the windiest balcony garden | bees on the fifth floor
acts: growing lettuce in wine crates | hanging herbs from a railing | shading a hot balcony with beans | planting bulbs in layers
tips: drill holes in every pot | choose heavy pots for windy corners | water in the evening when it's hot
es: plantar un huerto en el balcón
de: auf dem Balkon Salat anbauen
fr: jardiner sur un petit balcon
pt: plantar uma horta na varanda

# roses
things: a climbing rose on an old shed | black spot without the drama | the rose my grandfather grew | bare-root roses in February
acts: pruning a rose above the bud | training ramblers over an arch | deadheading roses at sunset | rooting rose cuttings in sand
tips: cut at an angle above the bud | feed the roses after the first bloom | plant garlic under the roses
es: podar un rosal sin miedo
de: Rosen richtig schneiden
fr: tailler un rosier sans peur
pt: podar uma roseira sem medo
"""
