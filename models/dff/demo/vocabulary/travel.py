"""Phrases of the topic travel; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: on a shoestring budget | with no plan at all | in the off season | before breakfast | with my grandmother | on the last day
    | in pouring rain | without speaking the language
lengths: 15 70

# city walks
things: a free rooftop above the old town | the quietest lane in the capital | a staircase painted by its neighbours
    | forty hours in one harbour city
acts: getting lost in a covered market | following street cats through the old quarter | crossing the city on foot
    | counting blue doors in the old town
tips: walk one street behind the main one | visit the big square at dawn | ask a baker for directions
es: recorrer el casco antiguo a pie
de: die Altstadt zu Fuß entdecken
fr: découvrir la vieille ville à pied
pt: conhecer o centro histórico a pé

# hiking
things: a ridge walk above the clouds | the mountain hut with the best soup | a waterfall nobody photographs
    | blisters at kilometre nineteen
acts: crossing a snow field in June | pitching a tent in strong wind | chasing sunrise up a volcano | filtering water from a stream
tips: lace your boots twice | turn around when the weather turns | eat before you are hungry
es: subir la montaña antes del amanecer
de: vor Sonnenaufgang auf den Gipfel wandern
fr: monter au refuge avant la nuit
pt: subir a serra de madrugada

# train trips
things: a night train with creaky bunks | the slowest railway in the valley | a window seat for eleven hours
    | three borders and one ticket
acts: sleeping on the upper bunk | watching fjords from the dining car | changing trains in four minutes
    | sharing noodles with strangers on a sleeper
tips: book the side with the sea view | bring earplugs and a scarf | pack your own picnic
es: cruzar el país en tren
de: mit dem Nachtzug ans Meer fahren
fr: traverser le pays en train
pt: atravessar o país de trem

# beaches
things: a cove you reach by ladder | pink sand and zero shade | the coldest swim of my life | an island without cars
acts: snorkelling over a sunken staircase | waiting for glowing waves at midnight | reading in a hammock all week
    | walking the shoreline at low tide
tips: rinse your mask with sea water | leave the shells where they are | check the tide table first
es: encontrar una cala sin gente
de: eine leere Bucht finden
fr: trouver une crique tranquille
pt: achar uma praia deserta

# packing
things: a month in one small backpack | the pouch that saved my trip | seven outfits from five pieces | a suitcase that weighs nothing
acts: rolling shirts instead of folding them | repacking on the airport floor | leaving half my clothes at home
    | labelling every cable before a trip
tips: wear your heaviest shoes on the plane | put a copy of your papers in your sock | pack an empty bottle
es: hacer la maleta en diez minutos
de: einen Monat nur mit Handgepäck reisen
fr: boucler une valise en dix minutes
pt: arrumar a mala em dez minutos
"""
