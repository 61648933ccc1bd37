"""The table behind `ontology`: what is known by name, system by system, and how sets spell it.

A line is a canonical name, then synonyms after "=", separated by ";". Spelling is compared without case, underscores,
hyphens and brackets, British and American alike. `PAIRED` names stand without their side: "kidney" is the left kidney,
the right kidney and a kidney of which nobody says the side; a synonym is met as "kidney_left", "Left Kidney" or
"rib_left_5". What means different things in different sets ("cancer", "edema") is the adapter's to tell.
"""

PAIRED = {
    "urinary": """
        kidney
    """,
    "endocrine": """
        adrenal gland = adrenal; suprarenal gland
    """,
    "respiratory": """
        lung
        upper lung lobe = lung upper lobe; upper lobe of lung; upper lobe
        middle lung lobe = lung middle lobe; middle lobe of lung; middle lobe
        lower lung lobe = lung lower lobe; lower lobe of lung; lower lobe
    """,
    "vessels": """
        subclavian artery
        common carotid artery = carotid artery
        brachiocephalic vein
        iliac artery
        iliac vein = iliac vena
    """,
    "heart": """
        atrium = heart atrium
        ventricle = heart ventricle
        atrial appendage
    """,
    "skeleton": """
        humerus
        scapula
        clavicle = clavicula
        femur = femoral head; head of femur
        hip bone = hip
        first rib = rib 1
        second rib = rib 2
        third rib = rib 3
        fourth rib = rib 4
        fifth rib = rib 5
        sixth rib = rib 6
        seventh rib = rib 7
        eighth rib = rib 8
        ninth rib = rib 9
        tenth rib = rib 10
        eleventh rib = rib 11
        twelfth rib = rib 12
    """,
    "muscles": """
        gluteus maximus
        gluteus medius
        gluteus minimus
        deep back muscle = autochthon; autochthonous back muscle
        iliopsoas = iliopsoas muscle
    """,
    "brain": """
        white matter = cerebral white matter
        lateral ventricle
        thalamus = thalamus proper
        caudate = caudate nucleus
        putamen
        pallidum = globus pallidus
        hippocampus
        amygdala
        accumbens = nucleus accumbens; accumbens area
        ventral diencephalon
        cerebellar cortex
        cerebellar white matter
        frontal cortex
        parietal cortex
        temporal cortex
        occipital cortex
        cingulate cortex
        insula
    """,
}
MIDLINE = {
    "digestive": """
        liver
        gallbladder = gall bladder
        pancreas = pancreatic parenchyma
        stomach
        duodenum
        small bowel = small intestine
        colon = large bowel; large intestine
        intestine
        rectum
        oesophagus
    """,
    "urinary": """
        urinary bladder = bladder
    """,
    "genital": """
        prostate
        prostate or uterus = prostate/uterus
        prostatic peripheral zone = PZ; peripheral zone of prostate; prostate peripheral zone
        prostatic transition zone = TZ; transition zone of prostate; prostate transition zone
        uterus
    """,
    "lymphatic": """
        spleen
    """,
    "endocrine": """
        thyroid gland = thyroid
    """,
    "respiratory": """
        trachea
    """,
    "vessels": """
        aorta = arota
        inferior vena cava = postcava; IVC; vena cava inferior
        superior vena cava = SVC
        portal and splenic veins = portal vein and splenic vein; portal vein & splenic vein
        pulmonary artery
        pulmonary veins = pulmonary vein
        brachiocephalic trunk
        coeliac trunk
        hepatic vessels = hepatic vessel; liver vessel; liver vessels
    """,
    "heart": """
        heart
        myocardium = heart myocardium
    """,
    "skeleton": """
        sacrum
        sternum
        costal cartilages = costal cartilage
        skull
        C1 vertebra = vertebrae C1; vertebra C1; cervical spine C1
        C2 vertebra = vertebrae C2; vertebra C2; cervical spine C2
        C3 vertebra = vertebrae C3; vertebra C3; cervical spine C3
        C4 vertebra = vertebrae C4; vertebra C4; cervical spine C4
        C5 vertebra = vertebrae C5; vertebra C5; cervical spine C5
        C6 vertebra = vertebrae C6; vertebra C6; cervical spine C6
        C7 vertebra = vertebrae C7; vertebra C7; cervical spine C7
        T1 vertebra = vertebrae T1; vertebra T1; thoracic spine T1
        T2 vertebra = vertebrae T2; vertebra T2; thoracic spine T2
        T3 vertebra = vertebrae T3; vertebra T3; thoracic spine T3
        T4 vertebra = vertebrae T4; vertebra T4; thoracic spine T4
        T5 vertebra = vertebrae T5; vertebra T5; thoracic spine T5
        T6 vertebra = vertebrae T6; vertebra T6; thoracic spine T6
        T7 vertebra = vertebrae T7; vertebra T7; thoracic spine T7
        T8 vertebra = vertebrae T8; vertebra T8; thoracic spine T8
        T9 vertebra = vertebrae T9; vertebra T9; thoracic spine T9
        T10 vertebra = vertebrae T10; vertebra T10; thoracic spine T10
        T11 vertebra = vertebrae T11; vertebra T11; thoracic spine T11
        T12 vertebra = vertebrae T12; vertebra T12; thoracic spine T12
        L1 vertebra = vertebrae L1; vertebra L1; lumbar spine L1; lumbar vertebra L1
        L2 vertebra = vertebrae L2; vertebra L2; lumbar spine L2; lumbar vertebra L2
        L3 vertebra = vertebrae L3; vertebra L3; lumbar spine L3; lumbar vertebra L3
        L4 vertebra = vertebrae L4; vertebra L4; lumbar spine L4; lumbar vertebra L4
        L5 vertebra = vertebrae L5; vertebra L5; lumbar spine L5; lumbar vertebra L5
        S1 vertebra = vertebrae S1; vertebra S1
    """,
    "nerves": """
        spinal cord
    """,
    "brain": """
        brain
        third ventricle
        fourth ventricle
        brainstem = brain stem
        corpus callosum
        csf = cerebrospinal fluid
        anterior hippocampus
        posterior hippocampus
    """,
    "skin": """
        scalp
        face
    """,
}
PAIRED_LESIONS = {
    "urinary": """
        kidney cyst = renal cyst
        kidney tumour = renal tumour; kidney mass
    """,
}
LESIONS = {
    "digestive": """
        liver tumour = hepatic tumour; liver cancer
        pancreatic tumour = pancreas cancer; pancreatic cancer; pancreas tumour
        colon tumour = colon cancer; colon cancer primaries
    """,
    "respiratory": """
        lung tumour = lung cancer
    """,
    "brain": """
        necrotic tumour core = NCR; NCR/NET; necrotic and non-enhancing tumour core
        peritumoural oedema = ED; edema of brain; peritumoural edematous tissue
        enhancing tumour = ET; GD-enhancing tumour; enhancing brain tumour
        non-enhancing tumour = non-enhancing brain tumour
        haemorrhage = intracerebral haemorrhage
        infarct
        enhancing mass
        calcification
        white matter lesion
        subdural haematoma
    """,
}
